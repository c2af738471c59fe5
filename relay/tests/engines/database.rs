//! What both databases have in common, and what nobody may have to know about them.

use nightjar_relay::{
    config::DatabaseConfig,
    engines::{
        db::{Db, DbReserve, Executor, Value, accounts, accounts::AccountRow},
        metrics::Metrics,
    },
};
use nightjar_shared::{ids::AccountId, role::AccountRole, time::UnixMillis};

use crate::{databases, support};

async fn on_every_database(test: impl AsyncFn(&Db)) {
    for engine in databases::engines() {
        let directory = support::directory();
        let config =
            DatabaseConfig { url: databases::fresh(engine).await, ..DatabaseConfig::default() };
        let db = Db::open(&config, directory.path(), DbReserve::NONE, &Metrics::default())
            .await
            .unwrap();
        db.migrate().await.unwrap();
        test(&db).await;
    }
}

fn account(email: &str) -> AccountRow {
    AccountRow {
        account_id: AccountId::generate(),
        email: email.to_owned(),
        name: "Alice".to_owned(),
        role: AccountRole::User,
        verified_at: None,
    }
}

async fn insert(db: &impl Executor, account: &AccountRow) -> bool {
    accounts::insert(db, account, "hash".to_owned(), UnixMillis(0)).await.unwrap()
}

async fn exists(db: &impl Executor, account: &AccountRow) -> bool {
    accounts::by_id(db, account.account_id).await.unwrap().is_some()
}

#[tokio::test]
async fn migrating_again_or_at_the_same_time_changes_nothing() {
    on_every_database(async |db: &Db| {
        let alice = account("alice@example.org");
        assert!(insert(db, &alice).await);
        let (one, other) = tokio::join!(db.migrate(), db.migrate());
        one.unwrap();
        other.unwrap();
        assert!(exists(db, &alice).await);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_takes_effect_as_a_whole_when_it_is_committed() {
    on_every_database(async |db: &Db| {
        let (alice, bob) = (account("alice@example.org"), account("bob@example.org"));
        let transaction = db.begin().await.unwrap();
        assert!(insert(&transaction, &alice).await);
        assert!(insert(&transaction, &bob).await);
        assert!(exists(&transaction, &alice).await);
        assert!(!exists(db, &alice).await, "seen from outside before it was committed");
        transaction.commit().await.unwrap();
        assert!(exists(db, &alice).await && exists(db, &bob).await);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_never_happened_and_the_next_one_works() {
    on_every_database(async |db: &Db| {
        let alice = account("alice@example.org");
        for _ in 0..20 {
            let transaction = db.begin().await.unwrap();
            assert!(insert(&transaction, &alice).await);
            drop(transaction);
        }
        assert!(!exists(db, &alice).await);
        assert!(insert(db, &alice).await);
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_in_the_middle_leaves_nothing_behind() {
    on_every_database(async |db: &Db| {
        let alice = account("alice@example.org");
        for polls in 1..12 {
            let work = async {
                let transaction = db.begin().await.unwrap();
                insert(&transaction, &alice).await;
                // Nobody waits so long.
                std::future::pending::<()>().await;
            };
            let mut work = Box::pin(work);
            for _ in 0..polls {
                assert!(futures::poll!(&mut work).is_pending());
                tokio::task::yield_now().await;
            }
        }
        // Reached only if the writer is free again.
        assert!(insert(db, &alice).await);
    })
    .await;
}

#[tokio::test]
async fn of_many_writers_of_one_row_exactly_one_wins() {
    on_every_database(async |db: &Db| {
        let rivals: Vec<_> = (0..16).map(|_| account("alice@example.org")).collect();
        let wins = futures::future::join_all(rivals.iter().map(|rival| insert(db, rival))).await;
        assert_eq!(wins.into_iter().filter(|won| *won).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn placeholders_mean_their_number_wherever_they_stand() {
    on_every_database(async |db: &Db| {
        let sql = "select cast($2 as text) as first, cast($1 as text) as second,
             cast($2 as text) as third";
        let row = db.query_one(sql, vec!["one".into(), "two".into()]).await.unwrap().unwrap();
        let texts = ["first", "second", "third"].map(|column| row.get::<String>(column).unwrap());
        assert_eq!(texts, ["two", "one", "two"]);
    })
    .await;
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    on_every_database(async |db: &Db| {
        let sql = "select cast($1 as bigint) as integer, cast($2 as text) as words,
             cast($3 as bigint) as absent";
        for integer in [0, -1, i64::MIN, i64::MAX] {
            let values = vec![integer.into(), "grün \u{1f426} ' \" %".into(), Value::Null];
            let row = db.query_one(sql, values).await.unwrap().unwrap();
            assert_eq!(row.get::<i64>("integer").unwrap(), integer);
            assert_eq!(row.get::<String>("words").unwrap(), "grün \u{1f426} ' \" %");
            assert_eq!(row.get::<Option<i64>>("absent").unwrap(), None);
        }
    })
    .await;
}
