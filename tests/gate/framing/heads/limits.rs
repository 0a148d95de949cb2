//! How large a head may be.

use super::*;

#[test]
fn header_count_is_accepted_at_the_limit_and_refused_beyond() {
    let guarded = GuardedUpstream::build_with(|upstream| {
        standard(upstream) + "limits: { header_count: 12 }\n"
    });
    let head = |count: usize| {
        let lines: String = (1..count).map(|number| format!("X-{number}: y\r\n")).collect();
        format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\n{lines}\r\n")
    };
    guarded.forwards(head(12));
    guarded.cuts_off(head(13), 431, "headers_too_large");
    guarded.cuts_off(head(500), 431, "headers_too_large");
}

#[test]
fn header_bytes_are_accepted_at_the_limit_and_refused_beyond() {
    let guarded = GuardedUpstream::build_with(|upstream| {
        standard(upstream) + "limits: { header_bytes: 2KiB }\n"
    });
    guarded.forwards(head_of(2048));
    guarded.cuts_off(head_of(2049), 431, "headers_too_large");
    // The body is not part of the head.
    let head = head_of(2048 - "Content-Length: 3000\r\n".len());
    let head = head.replacen("\r\n", "\r\nContent-Length: 3000\r\n", 1);
    assert_eq!(head.len(), 2048);
    guarded.forwards(head + &"b".repeat(3000));
}

#[test]
fn largest_limits_that_can_be_configured_are_served() {
    let limits = "limits: { header_bytes: 256KiB, header_count: 256 }\n";
    let guarded = GuardedUpstream::build_with(|upstream| standard(upstream) + limits);
    let lines: String = (1..256).map(|number| format!("X-{number}: y\r\n")).collect();
    guarded.forwards(format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\n{lines}\r\n"));
    guarded.cuts_off(
        format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\n{lines}X: y\r\n\r\n"),
        431,
        "headers_too_large",
    );
    guarded.forwards(head_of(256 << 10));
    guarded.cuts_off(head_of((256 << 10) + 1), 431, "headers_too_large");
}

#[test]
fn largest_head_is_served_with_a_body_in_the_same_packets() {
    let guarded = GuardedUpstream::build_with(|upstream| {
        standard(upstream) + "limits: { header_bytes: 256KiB, header_count: 256 }\n"
    });
    let head = head_of((256 << 10) - "Content-Length: 65536\r\n".len());
    let head = head.replacen("\r\n", "\r\nContent-Length: 65536\r\n", 1);
    guarded.forwards(head + &"b".repeat(65536));
}

#[test]
fn line_without_an_end_is_refused_long_before_it_fills_the_memory() {
    let guarded = GuardedUpstream::build();
    let before = peak_memory_kib(guarded.gateway.pid());
    let line =
        format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nX: {}", "a".repeat(1 << 20));
    for _ in 0..64 {
        guarded.cuts_off(&line, 431, "headers_too_large");
    }
    guarded.cuts_off("a".repeat(1 << 20), 431, "headers_too_large");
    let grown = peak_memory_kib(guarded.gateway.pid()) - before;
    assert!(grown < 16 * 1024, "it grew by {grown} KiB");
}

/// A head of exactly this many bytes.
fn head_of(bytes: usize) -> String {
    let start = "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nX: ";
    format!("{start}{}\r\n\r\n", "a".repeat(bytes - start.len() - 4))
}

/// The most memory that a process ever had, in KiB.
fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}
