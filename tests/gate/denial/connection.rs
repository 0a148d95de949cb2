//! What a denial does to the connection: it stays open, or it is closed where the framing is in doubt.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::gateways::DenialGateways;
use super::rows::Row;
use crate::harness::PATIENCE;
use crate::harness::client::get;

/// Provokes a row with these bytes, then asks for something else on the same connection.
fn assert_stays_open(gateways: &DenialGateways, row: &Row, bytes: String) {
    let mut connection = gateways.connect_for(row);
    assert_eq!(connection.exchange(bytes).slug(), row.slug);
    connection.send(get("/public/next", &[]));
    let next = connection.answer().unwrap_or_else(|| panic!("{}: it was closed", row.slug));
    assert_eq!((next.status, next.body.as_str()), (200, "from behind!"), "{}", row.slug);
}

#[test]
fn denial_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_sound() && !row.is_about_the_upstream()) {
        assert_stays_open(&gateways, row, row.bytes(&[], ""));
    }
}

#[test]
fn denial_of_a_request_with_a_small_body_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in
        gateways.rows().iter().filter(|row| row.takes_any_body() && !row.is_about_the_upstream())
    {
        // A body that looks like a request: read as one, it would be answered in place of the next.
        assert_stays_open(&gateways, row, row.bytes(&[], &get("/nowhere", &[])));
    }
}

#[test]
fn denial_of_a_request_with_a_small_chunked_body_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in
        gateways.rows().iter().filter(|row| row.takes_any_body() && !row.is_about_the_upstream())
    {
        let head = row.bytes(&[("Transfer-Encoding", "chunked")], "");
        assert_stays_open(&gateways, row, head + "5\r\nhello\r\n0\r\n\r\n");
    }
}

/// A client that keeps a connection on the gateway's word loses its next request if the word is
/// not kept.
#[test]
fn connection_that_ends_with_a_failed_upstream_is_announced_to_end() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_about_the_upstream()) {
        for body in ["", "hello"] {
            let mut connection = gateways.connect_for(row);
            let answer = connection.exchange(row.bytes(&[], body));
            assert_eq!(answer.slug(), row.slug);
            connection.send(get("/public/next", &[]));
            let is_open = connection.answer().is_some_and(|next| next.status == 200);
            let is_announced = answer.field("connection") == Some("close");
            assert_ne!(is_open, is_announced, "{}: {answer:?}", row.slug);
        }
    }
}

#[test]
fn denial_in_doubt_about_the_framing_closes_the_connection() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| !row.is_sound()) {
        let mut connection = gateways.connect_for(row);
        connection.send(row.bytes(&[], ""));
        assert_eq!(connection.answer().expect("an answer").slug(), row.slug);
        // What follows is never taken for a request.
        connection.send(get("/public/next", &[]));
        assert!(connection.answer().is_none(), "{}", row.slug);
    }
}

#[test]
fn denial_of_a_head_request_has_no_body() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.takes_any_body() && row.is_get()) {
        let get = row.bytes(&[("Connection", "close")], "");
        let head = get.replacen("GET ", "HEAD ", 1);
        let address = gateways.gateway_for(row).address();
        let mut stream = TcpStream::connect(address).expect("the gateway accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {} ", row.status)), "{}: {answer}", row.slug);
        let head_end = answer.find("\r\n\r\n").expect("a head") + 4;
        assert_eq!(&answer[head_end..], "", "{}", row.slug);
    }
}
