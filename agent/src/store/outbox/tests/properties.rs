//! Whatever is put, sent, acknowledged and lost in whatever order: the relay is told of everything,
//! in order, and the queue stays within its bound.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::{
    collection::vec,
    prelude::{
        Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_assert_eq,
        prop_oneof, proptest,
    },
    test_runner::RngSeed,
};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Begin,
    /// Ends an event, which may have ended before: after a restart its end is told again.
    End(usize),
    Ack,
    /// Hands over up to so many messages.
    Send(usize),
    /// So many of those on their way reach the relay, and for some of them its acknowledgement
    /// comes back.
    Arrive(usize, bool),
    /// What is on its way is lost, or arrived and nobody knows. An agent that restarts knows no more.
    Disconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Begin),
        4 => any::<usize>().prop_map(Step::End),
        1 => Just(Step::Ack),
        3 => (1..6_usize).prop_map(Step::Send),
        4 => (1..4_usize, any::<bool>()).prop_map(|(count, known)| Step::Arrive(count, known)),
        1 => Just(Step::Disconnect),
    ];
    vec(step, 0..80)
}

/// A message as it was put, in the order of putting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Put {
    /// Nothing for an ack.
    event: Option<usize>,
    text: String,
}

struct Model {
    index: Connection,
    events: Vec<EventId>,
    put: Vec<Put>,
    on_the_way: VecDeque<OutboxMessage>,
    /// Arrived, and the agent has not heard so.
    unknown: usize,
    told: Vec<String>,
    forgotten: HashSet<String>,
}

impl Model {
    fn new() -> Self {
        Self {
            index: schema::in_memory(),
            events: Vec::new(),
            put: Vec::new(),
            on_the_way: VecDeque::new(),
            unknown: 0,
            told: Vec::new(),
            forgotten: HashSet::new(),
        }
    }

    fn put(&mut self, event: Option<usize>) {
        let text = format!("{}", self.put.len());
        match event {
            Some(event) => insert_event(&self.index, self.events[event], &text, UnixMillis(0)),
            None => enqueue_ack(&self.index, &text, UnixMillis(0)),
        }
        .unwrap();
        self.put.push(Put { event, text });
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Begin => {
                self.events.push(EventId::generate());
                self.put(Some(self.events.len() - 1));
            }
            Step::End(_) if self.events.is_empty() => {}
            Step::End(number) => self.put(Some(number % self.events.len())),
            Step::Ack => self.put(None),
            Step::Send(count) => self.send(*count)?,
            Step::Arrive(count, known) => self.arrive(*count, *known),
            Step::Disconnect => {
                self.on_the_way.clear();
                self.unknown = 0;
            }
        }
        Ok(())
    }

    fn send(&mut self, count: usize) -> Result<(), TestCaseError> {
        let on_the_way: Vec<MessageId> = self.on_the_way.iter().map(|it| it.id).collect();
        let messages = next_messages(&self.index, &on_the_way, count).unwrap();
        prop_assert!(messages.len() <= count);
        for message in messages {
            self.check_turn(&message.payload)?;
            self.on_the_way.push_back(message);
        }
        Ok(())
    }

    /// Nothing that waits should have gone before this message.
    fn check_turn(&self, text: &str) -> Result<(), TestCaseError> {
        let is_sent = |text: &str| self.on_the_way.iter().any(|it| it.payload == text);
        let waiting: Vec<&Put> = self
            .put
            .iter()
            .filter(|it| !self.forgotten.contains(&it.text) && !is_sent(&it.text))
            .collect();
        let sent = waiting.iter().find(|it| it.text == text).expect("it waits");
        let newest = |event| self.put.iter().rposition(|it| it.event == event);
        for other in &waiting {
            match (sent.event, other.event) {
                (Some(_), None) => prop_assert!(false, "an ack waits behind an event"),
                (Some(event), Some(rival)) if event != rival => {
                    prop_assert!(newest(sent.event) > newest(other.event), "an older event first");
                }
                (Some(_), Some(_)) | (None, None) => {
                    prop_assert!(number(&sent.text) <= number(&other.text), "out of order");
                }
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    /// The connection keeps the order.
    fn arrive(&mut self, count: usize, known: bool) {
        let fresh = self.on_the_way.iter().skip(self.unknown).take(count);
        self.told.extend(fresh.map(|it| it.payload.clone()));
        self.unknown = (self.unknown + count).min(self.on_the_way.len());
        if known {
            for message in self.on_the_way.drain(..self.unknown) {
                remove(&self.index, message.id).unwrap();
                self.forgotten.insert(message.payload);
            }
            self.unknown = 0;
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everything_is_told_at_least_once_and_each_event_in_order(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step)?;
        }
        for _ in 0..=model.put.len() {
            model.take(&Step::Send(16))?;
            model.take(&Step::Arrive(16, true))?;
        }

        prop_assert_eq!(payloads(&model.index), Vec::<String>::new(), "the outbox is empty");
        let told: HashSet<&String> = model.told.iter().collect();
        prop_assert_eq!(told.len(), model.put.len(), "each landed, and nothing else did");
        let mut first_told: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        let mut seen = HashSet::new();
        for text in model.told.iter().filter(|text| seen.insert(*text)) {
            first_told.entry(model.put[number(text)].event).or_default().push(number(text));
        }
        for (event, order) in first_told {
            prop_assert!(order.is_sorted(), "{event:?} was told in the order {order:?}");
        }
    }

    #[test]
    fn a_full_outbox_drops_what_would_be_told_last(steps in steps()) {
        const MOST: usize = 6;
        let mut model = Model::new();
        for step in steps.iter().filter(|it| matches!(it, Step::Begin | Step::End(_) | Step::Ack)) {
            model.take(step)?;
            let mut expected = payloads(&model.index);
            make_room(&model.index, MOST).unwrap();
            if expected.len() > MOST {
                drop_oldest(&mut expected, &model.put);
            }
            prop_assert_eq!(payloads(&model.index), expected);
        }
    }
}

/// The beginning of the oldest event, or the first ack when there is no event.
fn drop_oldest(waiting: &mut Vec<String>, put: &[Put]) {
    let last = put[number(waiting.last().unwrap())].event;
    let first = waiting.iter().position(|text| put[number(text)].event == last).unwrap();
    waiting.remove(first);
}
