use super::*;

const NOW: UnixTime = UnixTime::from_seconds(1_000);
const LATER: UnixTime = UnixTime::from_seconds(2_000);
/// What an entry of these tests occupies.
const ENTRY: usize = 100 + ENTRY_OVERHEAD;

fn cache(entries: usize) -> BoundedCache<Box<str>, usize> {
    BoundedCache::new((entries * ENTRY) as u64)
}

fn insert(cache: &BoundedCache<Box<str>, usize>, number: usize, ends: UnixTime) -> u64 {
    let key = format!("token {number}").into();
    cache.insert(Cached { key, value: number, bytes: 100, ends }, NOW)
}

fn find(cache: &BoundedCache<Box<str>, usize>, number: usize) -> Option<usize> {
    cache.find(&*format!("token {number}"))
}

#[test]
fn entries_are_found_by_their_whole_key() {
    let cache = cache(10);
    insert(&cache, 1, LATER);
    assert_eq!(find(&cache, 1), Some(1));
    assert_eq!(find(&cache, 2), None);
    assert_eq!(cache.find("token 1 "), None);
}

#[test]
fn keys_with_one_hash_are_told_apart() {
    let mut shard = Shard::default();
    let cached =
        |key: &'static str| Cached { key: Box::from(key), value: key, bytes: 1, ends: LATER };
    for key in ["a", "b", "c"] {
        shard.add(7, cached(key));
    }
    let place = shard.find(7, "b").map(|(place, _)| place).expect("it was added");
    shard.take(place);
    assert!(shard.find(7, "b").is_none());
    for key in ["a", "c"] {
        assert_eq!(shard.find(7, key).expect(key).1.cached.value, key);
    }
}

#[test]
fn same_key_replaces_its_value() {
    let cache = cache(10);
    for value in [1, 2] {
        cache.insert(Cached { key: "token 1".into(), value, bytes: 100, ends: LATER }, NOW);
    }
    assert_eq!(find(&cache, 1), Some(2));
    assert_eq!(cache.len(), 1);
}

#[test]
fn bytes_bound_it() {
    let cache = cache(10);
    let evicted: u64 = (0..1_000).map(|number| insert(&cache, number, LATER)).sum();
    assert_eq!(cache.len(), 10);
    assert_eq!(evicted, 990);
    let too_large = Cached { key: "large".into(), value: 0, bytes: 10 * ENTRY, ends: LATER };
    assert_eq!(cache.insert(too_large, NOW), 0);
    assert_eq!((cache.find("large"), cache.len()), (None, 10));
}

#[test]
fn flood_of_keys_that_come_once_spares_what_is_in_use() {
    let cache = cache(100);
    for number in 0..50 {
        insert(&cache, number, LATER);
    }
    for number in 1_000..10_000 {
        // Each of the fifty comes again within two hundred others.
        find(&cache, number % 50);
        insert(&cache, number, LATER);
    }
    let left = (0..50).filter(|number| find(&cache, *number).is_some()).count();
    assert_eq!(left, 50);
}

#[test]
fn new_entry_stays_for_a_round_of_the_hand() {
    let cache = cache(100);
    for number in 0..1_000 {
        insert(&cache, number, LATER);
    }
    let last = (900..1_000).filter(|number| find(&cache, *number).is_some()).count();
    assert_eq!(last, 100, "the oldest made room");
}

#[test]
fn ended_entries_make_room_first_and_do_not_stay() {
    let cache = cache(100);
    for number in 0..100 {
        insert(&cache, number, if number % 2 == 0 { NOW } else { LATER });
    }
    let evicted: u64 = (100..150).map(|number| insert(&cache, number, LATER)).sum();
    assert_eq!(evicted, 0);
    assert!((0..100).filter(|number| number % 2 == 1).all(|number| find(&cache, number).is_some()));

    for number in 200..220 {
        insert(&cache, number, NOW);
    }
    // Two places are checked each time: after these insertions no expired entry is left.
    let key = || "token 219".into();
    for _ in 0..100 {
        cache.insert(Cached { key: key(), value: 219, bytes: 100, ends: LATER }, NOW);
    }
    let held = (0..300).filter(|number| find(&cache, *number).is_some()).count();
    assert_eq!(cache.len(), held, "a place without an entry is none");
    assert!(held < 100);

    let roomy = self::cache(10_000);
    for number in 0..100 {
        insert(&roomy, number, NOW);
    }
    for number in 100..200 {
        insert(&roomy, number, LATER);
    }
    assert_eq!(roomy.len(), 100);
}

#[test]
fn large_cache_is_shared_out() {
    let cache: BoundedCache<Box<str>, usize> = BoundedCache::new(64 << 20);
    assert_eq!(cache.shards.len(), SHARDS_MAX);
    for number in 0..1_000 {
        insert(&cache, number, LATER);
    }
    assert!(cache.shards.iter().all(|shard| shard.read().expect("a shard").slots.len() > 10));
    assert!((0..1_000).all(|number| find(&cache, number) == Some(number)));
}

#[test]
fn cache_of_no_bytes_keeps_nothing() {
    let cache = cache(0);
    assert_eq!(insert(&cache, 1, LATER), 0);
    assert_eq!(cache.len(), 0);
}
