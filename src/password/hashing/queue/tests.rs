//! Turns go round, shares are held, and who gives up holds nothing.

use tokio::task::JoinHandle;

use super::*;

const PLACES: HashingPlaces = HashingPlaces { hashing: 1, all: 9, of_network: 6, of_account: 4 };

fn user(name: &str, address: &str) -> Party {
    Party::of_user(name, address.parse().ok())
}

/// Waits for a place, and records the party when its turn comes.
fn wait(
    queue: &Arc<HashingQueue>,
    party: &Party,
    turns: &Arc<Mutex<Vec<Party>>>,
) -> JoinHandle<Result<(), NoPlace>> {
    let (queue, party, turns) = (queue.clone(), party.clone(), turns.clone());
    tokio::spawn(async move {
        let place = queue.place(&party).await?;
        turns.lock().expect("no panic").push(party);
        drop(place);
        Ok(())
    })
}

async fn until(queue: &HashingQueue, waiting: usize) {
    while queue.state().waiting.len() != waiting {
        tokio::task::yield_now().await;
    }
}

#[test]
fn spellings_of_a_name_are_one_account_and_clients_are_others() {
    assert_eq!(user(" Alice", "192.0.2.1"), user("alice", "192.0.2.1"));
    assert_eq!(user("a", "2001:db8::1"), user("a", "2001:db8::2"));
    assert_ne!(user("a", "192.0.2.1"), Party::of_client("a", "192.0.2.1".parse().ok()));
    let client = |address: &str| Party::of_client("a", address.parse().ok()).account;
    assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    assert_eq!(user("a", "192.0.2.1").account, user("a", "192.0.2.2").account);
}

#[tokio::test]
async fn account_holds_its_part_and_no_more() {
    let (queue, turns) = (HashingQueue::new(PLACES), Arc::default());
    let taken = queue.place(&user("bob", "192.0.2.1")).await.expect("the first");
    let places = (1..4).map(|number| user("bob", &format!("192.0.2.{number}")));
    let all: Vec<_> = places.map(|party| wait(&queue, &party, &turns)).collect();
    until(&queue, 3).await;
    let one_more = queue.place(&user("bob", "192.0.2.9")).await;
    assert_eq!(one_more.expect_err("the fifth"), NoPlace::ShareHeld);
    drop(taken);
    for one in all {
        assert_eq!(one.await.expect("it ends"), Ok(()));
    }
    assert!(queue.place(&user("bob", "192.0.2.9")).await.is_ok());
    let state = queue.state();
    assert!(state.accounts.is_empty() && state.networks.is_empty() && state.hashing == 0);
}

#[tokio::test]
async fn who_holds_many_makes_room_for_who_holds_none() {
    let (queue, turns) = (HashingQueue::new(PLACES), Arc::default());
    let taken = queue.place(&user("bob", "192.0.2.1")).await.expect("the first");
    // All that their network may hold: 4 and 2.
    let bob: Vec<_> = (0..3).map(|_| wait(&queue, &user("bob", "192.0.2.1"), &turns)).collect();
    until(&queue, 3).await;
    let carol: Vec<_> = (0..2).map(|_| wait(&queue, &user("carol", "192.0.2.1"), &turns)).collect();
    until(&queue, 5).await;
    let alice = wait(&queue, &user("alice", "192.0.2.1"), &turns);
    let mut ends = Vec::new();
    while queue.state().accounts.len() < 3 {
        tokio::task::yield_now().await;
    }
    drop(taken);
    for one in bob {
        ends.push(one.await.expect("it ends"));
    }
    assert_eq!(ends, [Ok(()), Ok(()), Err(NoPlace::ShareHeld)]);
    for one in carol.into_iter().chain([alice]) {
        assert_eq!(one.await.expect("it ends"), Ok(()));
    }
    // Of those who came in the same turn the first; then who has not had a turn for longest.
    let turns = turns.lock().expect("no panic");
    let names: Vec<_> = turns
        .iter()
        .map(|party| ["alice", "bob", "carol"].map(|name| user(name, "192.0.2.1") == *party))
        .collect();
    let (a, b, c) = ([true, false, false], [false, true, false], [false, false, true]);
    assert_eq!(names, [b, c, a, b, c]);
}

#[tokio::test]
async fn networks_have_their_turns_one_after_the_other() {
    let (queue, turns) = (HashingQueue::new(PLACES), Arc::default());
    let taken = queue.place(&user("zoe", "203.0.113.1")).await.expect("the first");
    let mut all = Vec::new();
    for (name, address) in [
        ("a", "192.0.2.1"),
        ("b", "192.0.2.1"),
        ("c", "192.0.2.1"),
        ("d", "198.51.100.1"),
        ("e", "198.51.100.1"),
    ] {
        all.push(wait(&queue, &user(name, address), &turns));
        until(&queue, all.len()).await;
    }
    drop(taken);
    for one in all {
        assert_eq!(one.await.expect("it ends"), Ok(()));
    }
    let turns = turns.lock().expect("no panic");
    let last = |party: &Party| match party.network {
        Some(IpAddr::V4(address)) => address.octets()[0],
        Some(IpAddr::V6(_)) | None => 0,
    };
    let networks: Vec<_> = turns.iter().map(last).collect();
    assert_eq!(networks, [192, 198, 192, 198, 192]);
}

#[tokio::test]
async fn full_line_turns_away_who_would_hold_as_much_as_the_others() {
    let (queue, turns) = (HashingQueue::new(PLACES), Arc::default());
    let _taken = queue.place(&user("0", "203.0.113.1")).await.expect("the first");
    for number in 1..9 {
        let address = format!("192.0.2.{number}");
        drop(wait(&queue, &user(&number.to_string(), &address), &turns));
        until(&queue, number).await;
    }
    let late = queue.place(&user("late", "198.51.100.1")).await;
    assert_eq!(late.expect_err("it is full"), NoPlace::Full);
}

#[tokio::test]
async fn who_gives_up_is_not_called_and_holds_nothing() {
    let (queue, turns) = (HashingQueue::new(PLACES), Arc::default());
    let taken = queue.place(&user("bob", "192.0.2.1")).await.expect("the first");
    let one = wait(&queue, &user("carol", "192.0.2.1"), &turns);
    until(&queue, 1).await;
    one.abort();
    until(&queue, 0).await;
    drop(taken);
    let state = queue.state();
    assert!(state.accounts.is_empty() && state.networks.is_empty() && state.hashing == 0);
}
