//! The log: its numbers, how long it is kept, and how it is read.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_are_numbered_without_gaps() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let sequences = append_many(&log, 300, clock::now().plus(60)).await;
    assert_eq!(sequences, (1..=300).collect());
    let (records, position) = read(&*log, NOTHING).await;
    assert_eq!((records.len(), position.sequence), (300, 300));
}

#[tokio::test]
async fn full_log_takes_nothing_until_records_have_been_spent_for_an_hour() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let bounds = |now| AppendBounds { entries_max: 2, now, login_issuer: None };
    for session in ["one", "two"] {
        log.append(&record_until(session, now), bounds(now)).await.expect("there is room");
    }
    let third = record_until("three", now.plus(2 * MARGIN_S));
    let not_yet = bounds(now.plus(MARGIN_S - 1));
    assert_eq!(log.append(&third, not_yet).await, Err(AppendError::Full));
    let position = log.append(&third, bounds(now.plus(MARGIN_S))).await.expect("there is room");
    assert_eq!(position.sequence, 3);
    assert_eq!(snapshot(&log).await.expect("a snapshot").0, [third]);
}

#[tokio::test]
async fn record_is_pruned_when_it_has_been_spent_for_an_hour_and_not_before() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let never = record_until("never", UnixTime::NEVER);
    log.append(&record_until("one", now), bounds()).await.expect("it is appended");
    log.append(&never, bounds()).await.expect("it is appended");
    assert_eq!(log.prune(now.plus(MARGIN_S - 1)).await, Ok(0));
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(1));
    assert_eq!(log.prune(now.plus(i64::MAX)).await, Ok(0));
    assert_eq!(snapshot(&log).await.expect("a snapshot").0, [never]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_goes_on_until_nothing_is_left() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let now = clock::now();
    append_many(&log, 10_001, now).await;
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(10_001));
}

#[tokio::test]
async fn sequence_goes_on_after_everything_was_pruned() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    for session in ["one", "two"] {
        log.append(&record_until(session, now), bounds()).await.expect("it is appended");
    }
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(2));
    drop(log);
    let log = open(&path);
    let end = Position { sequence: 2, mark: None };
    assert_eq!(snapshot(&log).await, Ok((Vec::new(), end)));
    // Whoever had not read them goes on: they are spent.
    assert_eq!(read(&log, NOTHING).await, (Vec::new(), end));
    let position = log.append(&record("three"), bounds()).await.expect("it is appended");
    assert_eq!(position.sequence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_wakes_when_a_record_is_appended() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { (read(&*log, NOTHING).await, Instant::now()) }
    });
    // Whether it already waits by then makes no difference to what must come.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let record = record("one");
    let position = log.append(&record, bounds()).await.expect("it is appended");
    let acknowledged = Instant::now();
    let (read, woken) = waiting.await.expect("no panic");
    assert_eq!(read, (vec![record], position));
    let late = woken.saturating_duration_since(acknowledged);
    assert!(late < Duration::from_millis(200), "{late:?}");
}

#[tokio::test]
async fn tail_without_news_returns_when_patience_ends() {
    let (_directory, path) = place();
    let log = open(&path);
    append(&log, &["one"]).await;
    let (_, position) = snapshot(&log).await.expect("a snapshot");
    let begun = Instant::now();
    let tail = log.tail(position, IMPATIENCE).await;
    assert_eq!(tail, Ok(Tail::Records(Vec::new(), position)));
    assert!(begun.elapsed() >= IMPATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_brings_so_many_records_and_then_goes_on() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    append_many(&log, TAIL_RECORDS_MAX + 1, clock::now().plus(60)).await;
    let (records, position) = read(&*log, NOTHING).await;
    assert_eq!((records.len() as u64, position.sequence), (TAIL_RECORDS_MAX, TAIL_RECORDS_MAX));
    let (records, position) = read(&*log, position).await;
    assert_eq!((records.len(), position.sequence), (1, TAIL_RECORDS_MAX + 1));
}

#[tokio::test]
async fn position_of_another_log_is_lost() {
    let (_directory, path) = place();
    let log = open(&path);
    let records = append(&log, &["one", "two"]).await;
    let at = |sequence, mark| Position { sequence, mark };
    let other = Some(records[0].mark ^ 1);
    for position in [at(3, None), at(1, other), at(2, other), at(u64::MAX, None)] {
        assert_eq!(loss(&log, position).await, Loss::WentBackwards, "{position:?}");
    }
    assert_eq!(read(&log, at(1, Some(records[0].mark))).await.0, records[1..]);
}

#[tokio::test]
async fn list_is_in_the_order_of_expiry_and_in_pages() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let never = record_until("never", UnixTime::NEVER);
    log.append(&never, bounds()).await.expect("it is appended");
    for (session, seconds) in [("late", 300), ("spent", 0), ("soon", 1), ("later", 400)] {
        let record = record_until(session, now.plus(seconds));
        log.append(&record, bounds()).await.expect("it is appended");
    }
    let Listing { records, total } = log.list(0, u64::MAX, now).await.expect("a list");
    assert_eq!((sessions(&records), total), (vec!["soon", "late", "later", "never"], 4));
    for (offset, limit, page) in
        [(0, 1, 0..1), (1, 2, 1..3), (3, 2, 3..4), (4, 2, 4..4), (0, 0, 0..0), (u64::MAX, 1, 4..4)]
    {
        let listing = log.list(offset, limit, now).await.expect("a list");
        assert_eq!(listing, Listing { records: records[page].to_vec(), total: 4 }, "{offset}");
    }
}

#[tokio::test]
async fn what_a_newer_gateway_wrote_is_passed_over() {
    let (_directory, path) = edited(|transaction| put(transaction, 1, r#"{"kind":"invalidate"}"#));
    let log = open(&path);
    let end = Position { sequence: 1, mark: None };
    assert_eq!(read(&log, NOTHING).await, (Vec::new(), end));
    assert_eq!(snapshot(&log).await, Ok((Vec::new(), end)));
}

#[tokio::test]
async fn what_came_before_an_unreadable_record_is_told_first() {
    let readable = record("one");
    let (_directory, path) = edited(|transaction| {
        put(transaction, 1, &readable.encode());
        put(transaction, 2, r#"{"kind":"revocation","scope":"planet"}"#);
    });
    let log = open(&path);
    let (records, position) = read(&log, NOTHING).await;
    assert_eq!((records, position.sequence), (vec![readable], 1));
    let unreadable = |error: StoreError| matches!(error, StoreError::Unreadable(_));
    assert!(log.tail(position, IMPATIENCE).await.is_err_and(unreadable));
    assert!(snapshot(&log).await.is_err_and(unreadable));
    // The file itself is fine.
    append(&log, &["three"]).await;
}
