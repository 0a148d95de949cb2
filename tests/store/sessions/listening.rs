//! Changes of sessions that the server tells of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::secret::Secret;
use portcullis::store::Fleet;
use portcullis::store::attempts::{AttemptAccount, AttemptBudget, AttemptLedger, BudgetPace};
use portcullis::store::session::SessionNotice;
use portcullis::store::settings::{RedisAddress, RedisLogin, RedisServers, RedisSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::gateway_state;
use super::redis::key;
use super::*;
use crate::harness::redis::{Cluster, RedisOptions, Sentinels};

/// How late a change may be told, at a machine that is not busy with other tests.
const LATE: Duration = Duration::from_millis(50);

/// How often it is looked whether the machine is not busy just now.
const TRIES: u64 = 20;

/// How long something may take that is sure to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who listens, and what was heard.
struct ChangeListener {
    heard: mpsc::UnboundedReceiver<(Instant, SessionNotice)>,
    ended: JoinHandle<(Instant, StoreError)>,
}

impl ChangeListener {
    /// Listens, and waits until everything is told.
    async fn open(store: Arc<Redis>) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let ended = tokio::spawn(async move {
            let mut hear = |told| drop(sender.send((Instant::now(), told)));
            let error = store.listen(&mut hear).await;
            (Instant::now(), error)
        });
        let mut listening = Self { heard, ended };
        assert_eq!(listening.any().await.1, SessionNotice::Begun);
        listening
    }

    /// What is heard next.
    async fn any(&mut self) -> (Instant, SessionNotice) {
        match tokio::time::timeout(PATIENCE, self.heard.recv()).await.expect("it comes in time") {
            Some(heard) => heard,
            None => panic!("{}", (&mut self.ended).await.expect("no panic").1),
        }
    }

    /// What is heard next, and is not only that there is contact.
    async fn news(&mut self) -> (Instant, SessionNotice) {
        let begun = Instant::now();
        loop {
            match self.any().await {
                (_, SessionNotice::Contact(_)) => {
                    assert!(begun.elapsed() < PATIENCE, "nothing is told")
                }
                news => return news,
            }
        }
    }

    /// What is heard next is this; how long after now.
    async fn hears(&mut self, told: SessionNotice) -> Duration {
        let happened = Instant::now();
        let (heard, news) = self.news().await;
        assert_eq!(news, told);
        heard.saturating_duration_since(happened)
    }

    /// How and when it ends.
    async fn end(mut self) -> (Instant, StoreError) {
        let ended = tokio::time::timeout(PATIENCE, &mut self.ended).await;
        ended.expect("it ends in time").expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn change_by_hand_is_told_at_once() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    for number in 0..TRIES {
        create(&store, number, &session("ada", clock::now())).await;
    }
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    for change in [&["del"][..], &["set", "anything"]] {
        let mut late = Vec::new();
        for number in 0..TRIES {
            let mut command = vec![change[0]];
            let key = key(number);
            command.push(&key);
            command.extend(&change[1..]);
            server.cli(&command);
            late.push(listening.hears(SessionNotice::Changed(id(number))).await);
        }
        assert!(late.iter().any(|late| *late < LATE), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_gateways_write_is_told() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    create(&store, 1, &session("ada", clock::now())).await;
    listening.hears(SessionNotice::Changed(id(1))).await;
    store.delete(id(1)).await.expect("it is deleted");
    listening.hears(SessionNotice::Changed(id(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_expires_is_told() {
    let server = RedisServer::start();
    server.cli(&["config", "set", "hz", "500"]);
    let store = in_redis(&server);
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    let now = clock::now();
    let mut short = session("ada", now);
    short.record.ends = now.plus(2 - MARGIN_S);
    create(&store, 1, &short).await;
    listening.hears(SessionNotice::Changed(id(1))).await;
    let (_, news) = listening.news().await;
    assert_eq!(news, SessionNotice::Changed(id(1)));
    assert_eq!(found(&store, 1).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_means_that_anything_may_have_changed() {
    let server = RedisServer::start();
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    for flush in ["flushall", "flushdb"] {
        server.cli(&[flush]);
        listening.hears(SessionNotice::Anything).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn use_of_a_session_is_not_told_nor_is_anything_else_that_leaves_it_as_it_is() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    for number in [1, 2] {
        create(&store, number, &session("ada", now)).await;
    }
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    store.touch(&[(id(1), now.plus(1)), (id(2), now.plus(2))]).await.expect("it is noted");
    found(&store, 1).await;
    listed(&store, "ada", now).await;
    store.prune(now).await.expect("it prunes");
    create(&store, 1, &session("ada", now)).await;
    let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
    let account = AttemptAccount { key: "a".to_owned(), budget, pace: BudgetPace::Slowing };
    store.attempt(&[account], now).await.expect("it is counted");
    server.cli(&["set", "portcullis:{revocations}:session", "near"]);
    store.delete(id(2)).await.expect("it is deleted");
    // The first that is heard is the last that was done.
    listening.hears(SessionNotice::Changed(id(2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connection_ends_it_at_once() {
    let server = RedisServer::start();
    let mut late = Vec::new();
    for _ in 0..TRIES {
        let listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
        server.cli(&["client", "kill", "type", "normal"]);
        let killed = Instant::now();
        let (ended, error) = listening.end().await;
        let StoreError::Unavailable(text) = error else { panic!("{error:?}") };
        assert!(text.contains(&server.address().to_string()), "{text}");
        late.push(ended.saturating_duration_since(killed));
    }
    assert!(late.iter().any(|late| *late < LATE), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_does_not_answer_ends_it_and_there_is_no_contact_meanwhile() {
    let server = RedisServer::start();
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    assert!(matches!(listening.any().await.1, SessionNotice::Contact(_)));
    server.pause();
    while listening.heard.try_recv().is_ok() {}
    let paused = Instant::now();
    let mut heard = Vec::new();
    while let Some(told) = listening.heard.recv().await {
        heard.push(told);
    }
    let (ended, error) = listening.end().await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(ended - paused < Duration::from_secs(4), "{:?}", ended - paused);
    // What it had answered before may still have been on its way; the next would come later.
    let on_its_way = Duration::from_millis(400);
    let late = heard.iter().filter(|(at, _)| *at - paused > on_its_way).collect::<Vec<_>>();
    assert!(late.is_empty(), "{late:?}");
    server.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_is_told_again_and_again_and_only_after_all_that_came_before() {
    let server = RedisServer::start();
    let store = Arc::new(in_redis(&server));
    let count = 600;
    for number in 0..count {
        create(&*store, number, &session(&number.to_string(), clock::now())).await;
    }
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    let deleting = tokio::spawn(async move {
        let mut deleted = Vec::new();
        for number in 0..count {
            store.delete(id(number)).await.expect("it is deleted");
            deleted.push((id(number), Instant::now()));
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        deleted
    });
    let mut changed = std::collections::BTreeSet::new();
    let mut contacts = Vec::new();
    let begun = Instant::now();
    while changed.len() < count as usize {
        assert!(begun.elapsed() < 2 * PATIENCE, "{} are not told", count as usize - changed.len());
        match listening.any().await {
            (_, SessionNotice::Changed(id)) => drop(changed.insert(id)),
            (heard, SessionNotice::Contact(ago_ms)) => {
                contacts.push((heard - Duration::from_millis(ago_ms), changed.clone()));
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    let deleted = deleting.await.expect("no panic");
    assert!(contacts.len() > 3, "{}", contacts.len());
    for (until, told) in &contacts {
        let missing = deleted.iter().filter(|(id, at)| at < until && !told.contains(id)).count();
        assert_eq!(missing, 0, "told before contact");
    }
    let gaps: Vec<_> = contacts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().any(|gap| *gap < Duration::from_millis(700)), "{gaps:?}");
}

/// An ear that is refused, and why.
async fn refusal(settings: &RedisSettings) -> String {
    let store = Redis::open(settings).expect("settings that can work");
    let mut hear = |told| panic!("{told:?}");
    let listening = store.listen(&mut hear);
    match tokio::time::timeout(PATIENCE, listening).await.expect("it ends in time") {
        StoreError::Refused(text) => text,
        other @ (StoreError::Unavailable(_) | StoreError::Unreadable(_)) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn right_to_be_told_that_is_missing_is_named() {
    let rules = "on >s3cret ~portcullis:* +@read +@write +@connection +@scripting +time \
                 -client|tracking";
    let user = Some(("gateway".to_owned(), rules.to_owned()));
    let server = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
    let password = Some(Secret::new(b"s3cret".to_vec()));
    let login = RedisLogin { username: Some("gateway".into()), password };
    let settings = RedisSettings { login, ..server.settings() };
    let text = refusal(&settings).await;
    assert!(text.contains("NOPERM") && text.contains("+client|tracking"), "{text}");
    assert!(text.contains(&server.address().to_string()), "{text}");
    // Everything else works.
    let store = Redis::open(&settings).expect("settings that can work");
    create(&store, 1, &session("ada", clock::now())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_speaks_an_old_protocol_is_named() {
    for answer in ["-NOPROTO unsupported protocol version\r\n", "-ERR unknown command `HELLO`\r\n"]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        let address = RedisAddress { host: "127.0.0.1".into(), port };
        let settings = RedisSettings {
            servers: RedisServers::Single(address),
            login: RedisLogin::default(),
            database: 0,
            tls: None,
            prefix: "portcullis".into(),
        };
        let text = refusal(&settings).await;
        assert!(text.contains("RESP3") && text.contains(&port.to_string()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_opens_and_a_wrong_one_is_not_told() {
    let password = Some("s3cret".to_owned());
    let server = RedisServer::start_with(RedisOptions { password, ..RedisOptions::default() });
    let mut listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    server.cli(&["flushall"]);
    listening.hears(SessionNotice::Anything).await;
    let password = Some(Secret::new(b"wr0ng".to_vec()));
    let login = RedisLogin { username: None, password };
    let store = Redis::open(&RedisSettings { login, ..server.settings() }).expect("settings");
    let error = store.listen(&mut |told| panic!("{told:?}")).await;
    let StoreError::Unavailable(text) = error else { panic!("{error:?}") };
    assert!(!text.contains("wr0ng"), "{text}");
}

/// Waits until it is noticed that there is another master, and listening ends.
async fn end_at_another_master(store: &Redis, listening: JoinHandle<(Instant, StoreError)>) {
    let begun = Instant::now();
    while !listening.is_finished() {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        // This is where it is asked who the master is.
        let _ = store.announce(&gateway_state()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, error) = listening.await.expect("no panic");
    assert!(matches!(&error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_over_ends_it_and_it_begins_anew_at_the_new_master() {
    let sentinels = Sentinels::start();
    let store = Arc::new(Redis::open(&sentinels.settings()).expect("settings that can work"));
    let listening = ChangeListener::open(store.clone()).await;
    sentinels.fail_over();
    end_at_another_master(&store, listening.ended).await;
    let mut listening = ChangeListener::open(store.clone()).await;
    create(&*store, 1, &session("ada", clock::now())).await;
    listening.hears(SessionNotice::Changed(id(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn master_that_does_not_know_that_it_was_deposed_is_left() {
    let sentinels = Sentinels::start();
    let store = Arc::new(Redis::open(&sentinels.settings()).expect("settings that can work"));
    let listening = ChangeListener::open(store.clone()).await;
    let usurper = RedisServer::start();
    sentinels.name(&usurper);
    end_at_another_master(&store, listening.ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_a_cluster_that_gave_the_keys_away_is_left() {
    let cluster = Cluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let open = || Redis::open(&cluster.settings(&nodes)).expect("settings that can work");
    let store = open();
    create(&store, 1, &session("ada", clock::now())).await;
    let mut listening = ChangeListener::open(Arc::new(open())).await;
    store.delete(id(1)).await.expect("it is deleted");
    listening.hears(SessionNotice::Changed(id(1))).await;
    // Nothing is left in the slot.
    let last = "portcullis:{revocations}:last";
    nodes[0].cli(&["-c", "set", last, "x"]);
    let from = cluster.home_of(last);
    cluster.move_slot(&[last], from, (from + 1) % 3);
    let (_, error) = listening.end().await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let mut listening = ChangeListener::open(Arc::new(open())).await;
    create(&open(), 2, &session("ada", clock::now())).await;
    listening.hears(SessionNotice::Changed(id(2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_listening_leaves_no_connection_behind() {
    let server = RedisServer::start();
    let listening = ChangeListener::open(Arc::new(in_redis(&server))).await;
    let tracking = || {
        server.cli(&["client", "list"]).matches("cmd=client|tracking").count()
            + server.cli(&["client", "list"]).matches("flags=tB").count()
    };
    assert!(tracking() > 0, "{}", server.cli(&["client", "list"]));
    listening.ended.abort();
    crate::harness::eventually("a connection that is closed", || (tracking() == 0).then_some(()));
}
