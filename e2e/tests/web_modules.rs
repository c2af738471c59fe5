//! The web app's pure pieces, in the browser that runs them.

use anyhow::{Context, Result};
use nightjar_e2e::{
    browser::{Browser, Page},
    relay::{Place, Ports, Relay},
    stack::Scenario,
};
use serde_json::{Value, json};

/// Evaluates `expression` with the module's exports in scope as `module`.
async fn with_module(page: &Page, name: &str, expression: &str) -> Result<Value> {
    let script = format!(
        "import(document.querySelector('script[type=module]').src.replace('main.js', '{name}'))\
         .then((module) => ({expression}))"
    );
    page.evaluate(&script).await.with_context(|| format!("{name}: {expression}"))
}

async fn assert_gives(page: &Page, name: &str, expression: &str, expected: Value) -> Result<()> {
    let found = with_module(page, name, expression).await?;
    assert_eq!(found, expected, "{name}: {expression}");
    Ok(())
}

#[tokio::test]
async fn the_app_s_pure_pieces_decide_as_they_should() -> Result<()> {
    Scenario::run("web_modules", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        waits_grow_and_a_steady_connection_starts_anew(&page).await?;
        addresses_find_their_view_and_stay_in_the_app(&page).await?;
        whep_speaks_its_headers_and_fragments(&page).await?;
        polygons_keep_their_shape_and_their_bounds(&page).await?;
        a_week_is_the_same_as_a_grid_and_as_periods(&page).await?;
        rtp_times_tell_when_pictures_were_captured(&page).await?;
        times_read_as_people_read_them(&page).await?;
        a_recording_that_was_stopped_is_no_stopped_agent(&page).await?;
        a_connection_that_nobody_answers_is_given_up(&page).await?;
        lists_show_everything_whenever_it_comes(&page).await
    })
    .await
}

async fn waits_grow_and_a_steady_connection_starts_anew(page: &Page) -> Result<()> {
    let wait = "[0, 1, 2, 9].map((attempt) => module.waitMs(attempt, {firstMs: 1000, longestMs: 20000}, R))";
    let low = wait.replace('R', "0");
    let high = wait.replace('R', "0.999999");
    assert_gives(page, "backoff.js", &low, json!([500, 1000, 2000, 10_000])).await?;
    assert_gives(page, "backoff.js", &high, json!([1000, 2000, 4000, 20_000])).await?;

    let story = "(() => { \
        const backoff = new module.Backoff({firstMs: 1000, longestMs: 20000, steadyMs: 5000}); \
        const waits = [backoff.failed(0, 0), backoff.failed(1, 0)]; \
        backoff.connected(10); waits.push(backoff.failed(20, 0)); \
        backoff.connected(30); waits.push(backoff.failed(6000, 0)); \
        backoff.reset(); waits.push(backoff.failed(6001, 0)); \
        return waits; })()";
    assert_gives(page, "backoff.js", story, json!([500, 1000, 2000, 500, 500])).await
}

async fn polygons_keep_their_shape_and_their_bounds(page: &Page) -> Result<()> {
    let square = "[[0, 0], [1, 0], [1, 1], [0, 1]]";
    let given = |call: &str| call.replace("SQUARE", square);
    let name = "settings/polygon.js";
    let moved = given("module.moved(SQUARE, 2, [1.7, -0.12345678])");
    assert_gives(page, name, &moved, json!([[0, 0], [1, 0], [1, 0], [0, 1]])).await?;
    let near_the_bottom = given("module.withPoint(SQUARE, [0.4, 0.9])[3]");
    assert_gives(page, name, &near_the_bottom, json!([0.4, 0.9])).await?;
    let split = given("module.split(SQUARE, 3)[4]");
    assert_gives(page, name, &split, json!([0, 0.5])).await?;
    let fewest = given("module.without(module.without(SQUARE, 0), 0).length");
    assert_gives(page, name, &fewest, json!(3)).await?;
    let most = "(() => { let shape = module.firstShape(0); \
                for (let step = 0; step < 99; step++) shape = module.split(shape, 0); \
                return shape.length; })()";
    assert_gives(page, name, most, json!(32)).await
}

async fn a_week_is_the_same_as_a_grid_and_as_periods(page: &Page) -> Result<()> {
    let periods = json!([
        { "day": "monday", "from_minute": 0, "until_minute": 360 },
        { "day": "monday", "from_minute": 1320, "until_minute": 1440 },
        { "day": "sunday", "from_minute": 600, "until_minute": 660 },
    ]);
    let there_and_back = format!("module.periodsOf(module.gridOf({periods}))");
    assert_gives(page, "settings/week.js", &there_and_back, periods).await?;
    let odd = "[{day: 'tuesday', from_minute: 90, until_minute: 100}]";
    let rounded = format!("[module.isExact({odd}), module.periodsOf(module.gridOf({odd}))]");
    let hour = json!([{ "day": "tuesday", "from_minute": 60, "until_minute": 120 }]);
    assert_gives(page, "settings/week.js", &rounded, json!([false, hour])).await
}

async fn addresses_find_their_view_and_stay_in_the_app(page: &Page) -> Result<()> {
    let matched = "[module.matchPath('/cameras/:cameraId', '/cameras/7'), \
                    module.matchPath('/cameras/:cameraId', '/cameras/7/x'), \
                    module.matchPath('/', '/'), module.matchPath('/events', '/clips')]";
    assert_gives(page, "router.js", matched, json!([{"cameraId": "7"}, null, {}, null])).await?;
    let own = "['/clips/1', '//evil.example/x', 'https://evil.example', '/\\\\evil.example', null]\
               .map(module.ownPath)";
    assert_gives(page, "router.js", own, json!(["/clips/1", "/", "/", "/", "/"])).await
}

async fn whep_speaks_its_headers_and_fragments(page: &Page) -> Result<()> {
    let header = "module.iceServersFrom('<stun:a:3478>; rel=\"ice-server\", \
                  <turn:b:3478?transport=udp>; rel=\"ice-server\"; username=\"1:u\"; \
                  credential=\"c\"; credential-type=\"password\", </x>; rel=\"next\"')";
    let servers = json!([
        {"urls": "stun:a:3478"},
        {"urls": "turn:b:3478?transport=udp", "username": "1:u", "credential": "c"},
    ]);
    assert_gives(page, "whep.js", header, servers).await?;
    assert_gives(page, "whep.js", "module.iceServersFrom(null)", json!([])).await?;

    let fragment = "module.candidateFragment('v=0\\r\\na=ice-ufrag:U\\r\\na=ice-pwd:P\\r\\n\
                    a=mid:0\\r\\n', [{candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host'}], true)";
    let expected = "a=ice-ufrag:U\r\na=ice-pwd:P\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                    a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n";
    assert_gives(page, "whep.js", fragment, json!(expected)).await
}

async fn rtp_times_tell_when_pictures_were_captured(page: &Page) -> Result<()> {
    let clock = "module.cameraClock('v=0\\r\\na=nightjar-clock:4294967000 1790000000000\\r\\n')";
    let expected = json!({"rtp": 4_294_967_000_u32, "unixMs": 1_790_000_000_000_u64});
    assert_gives(page, "truth.js", clock, expected).await?;
    assert_gives(page, "truth.js", "module.cameraClock('v=0\\r\\n')", Value::Null).await?;
    // A second later, past the turn of the counter; then after a turn and some.
    let at = "[[89704, 1_790_000_001_100], [89704, 1_790_000_000_000 + 2 ** 32 / 90 + 900]]\
              .map(([rtp, now]) => module.capturedAt({rtp: 4294967000, unixMs: 1790000000000}, rtp, now) \
              - 1790000000000).map(Math.round)";
    assert_gives(page, "truth.js", at, json!([1_000, 47_722_859])).await
}

async fn times_read_as_people_read_them(page: &Page) -> Result<()> {
    let durations = "[0, 8400, 65_000, 3_723_000].map(module.duration)";
    assert_gives(page, "format.js", durations, json!(["0:00", "0:08", "1:05", "1:02:03"])).await?;
    let sizes = "[0, 999, 4_200_000].map(module.bytes)";
    assert_gives(page, "format.js", sizes, json!(["0 B", "999 B", "4.2 MB"])).await?;
    let days = "(() => { const noon = new Date(2026, 2, 30, 12).getTime(); const hour = 3_600_000; \
                return [module.dayName(noon - 11 * hour, noon), module.dayName(noon - 13 * hour, noon)]; })()";
    assert_gives(page, "format.js", days, json!(["Today", "Yesterday"])).await
}

async fn a_recording_that_was_stopped_is_no_stopped_agent(page: &Page) -> Result<()> {
    let words = "['manual', 'motion'].map((kind) => \
                 module.endWords({ kind, state: 'ended', reason: 'stopped' }))";
    let expected = json!(["The recording was stopped", "The camera's agent was stopped"]);
    assert_gives(page, "parts/event_words.js", words, expected).await
}

/// A list of the items 1 to `newest`, whose pages are what a relay gives of them.
const LIST: &str = "\
    const next = () => new Promise((resolve) => setTimeout(resolve)); \
    const item = (number) => ({ number, started_at: number * 1000 }); \
    const listOf = (relay) => { \
        const fetchPage = async ({ limit, cursor }) => { \
            await relay.answers; \
            const from = cursor ?? relay.newest; \
            const numbers = [...Array(Math.min(limit, from)).keys()].map((index) => from - index); \
            return { items: numbers.map(item), next_cursor: from > limit ? from - limit : undefined }; \
        }; \
        const row = ({ number }) => { \
            const node = document.createElement('li'); node.textContent = number; return node; \
        }; \
        const list = new module.LiveList({ testid: 'list', fetchPage, row, \
            key: ({ number }) => String(number), empty: { title: '', text: '' }, \
            signal: new AbortController().signal }); \
        const more = list.node.querySelector('button.more'); \
        const older = async () => { \
            for (let tap = 0; tap < 9 && !more.hidden; tap++) { more.click(); await next(); } \
        }; \
        const shown = () => [...list.node.querySelectorAll('li')].map((row) => Number(row.textContent)); \
        return { list, older, shown }; \
    };";

async fn lists_show_everything_whenever_it_comes(page: &Page) -> Result<()> {
    let story = |story: &str| format!("(async () => {{ {LIST} {story} }})()");
    let all = |newest: u32| Value::from((1..=newest).rev().collect::<Vec<_>>());

    let slept = story(
        "const relay = { newest: 120 }; const { list, older, shown } = listOf(relay); \
         await list.reload(); await older(); relay.newest = 300; list.put(item(300)); \
         await list.reload(); const newest = shown(); await older(); \
         return [newest, shown()];",
    );
    let newest = Value::from((251..=300_u32).rev().collect::<Vec<_>>());
    assert_gives(page, "parts/list.js", &slept, json!([newest, all(300)])).await?;

    let pushed_first = story(
        "let answer; const relay = { newest: 70, answers: new Promise((it) => { answer = it; }) }; \
         const { list, older, shown } = listOf(relay); const loaded = list.reload(); \
         list.put(item(71)); relay.newest = 71; answer(); \
         await loaded; await older(); return shown();",
    );
    assert_gives(page, "parts/list.js", &pushed_first, all(71)).await?;

    let blinked = story(
        "const relay = { newest: 120 }; const { list, older, shown } = listOf(relay); \
         await list.reload(); await older(); relay.newest = 130; \
         await list.reload(); return shown();",
    );
    assert_gives(page, "parts/list.js", &blinked, all(130)).await
}

/// The first ticket never comes, the first socket never opens: each time, another is asked for.
async fn a_connection_that_nobody_answers_is_given_up(page: &Page) -> Result<()> {
    let story = "(async () => { \
        const { fetch, WebSocket } = window; \
        const silence = (_, { signal } = {}) => new Promise((_, reject) => \
            signal?.addEventListener('abort', () => reject(signal.reason))); \
        const ticket = async () => Response.json({ ticket: 'for-nobody' }); \
        const sockets = []; \
        const connected = (realtime) => new Promise((resolve) => { \
            realtime.subscribe('open', () => resolve('connected'), new AbortController().signal); \
            setTimeout(() => resolve('stranded'), 15_000); \
            realtime.start(); \
        }); \
        class Socket extends EventTarget { \
            constructor() { super(); sockets.push(this); \
                if (sockets.length > 1) setTimeout(() => this.dispatchEvent(new Event('open'))); } \
            send() {} close() {} \
        } \
        window.WebSocket = Socket; \
        window.fetch = silence; \
        const withoutTicket = connected(new module.Realtime()); \
        window.fetch = ticket; \
        const withoutAnswer = connected(new module.Realtime()); \
        const found = await Promise.all([withoutTicket, withoutAnswer]); \
        Object.assign(window, { fetch, WebSocket }); \
        return found; })()";
    assert_gives(page, "realtime.js", story, json!(["connected", "connected"])).await
}
