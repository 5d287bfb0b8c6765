//! Octets in, meaning out: the end of data, commands, replies, MTA-STS policies, requests to the policy table.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use waxseal::mtasts;
use waxseal::smtp::command;
use waxseal::smtp::data::{DataScanner, Status};
use waxseal::smtp::reply::ReplyParser;
use waxseal::socketmap::{Inbox, Request};

const LINE: usize = 78;

const COMMANDS: [&[u8]; 4] = [
    b"MAIL FROM:<sender@here.example> SIZE=4096 BODY=8BITMIME",
    b"RCPT TO:<somebody@partner.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;somebody@partner.example",
    b"DATA",
    b"EHLO mail.here.example",
];

const REPLIES: [&[u8]; 6] = [
    b"250-mx.partner.example",
    b"250-PIPELINING",
    b"250-SIZE 52428800",
    b"250 8BITMIME",
    b"354 End data with <CR><LF>.<CR><LF>",
    b"250 2.0.0 Ok: queued as 4F1C2D3E4F",
];

const POLICY: &[u8] =
    b"version: STSv1\r\nmode: enforce\r\nmx: mx1.partner.example\r\nmx: mx2.partner.example\r\n\
    mx: *.backup.example\r\nmax_age: 604800\r\n";

const REQUEST: &[u8] = b"23:waxseal partner.example,";

pub(crate) fn bench(criterion: &mut Criterion) {
    end_of_data(criterion);
    lines(criterion);
    criterion.bench_function("mta-sts policy", |bencher| {
        bencher.iter(|| mtasts::policy::parse(black_box(POLICY)).unwrap());
    });
    criterion.bench_function("socketmap request", |bencher| {
        let mut inbox = Inbox::default();
        bencher.iter(|| {
            inbox.room()[..REQUEST.len()].copy_from_slice(REQUEST);
            inbox.filled(REQUEST.len());
            let content = inbox.pull().unwrap().unwrap();
            black_box(Request::parse(content).unwrap().key.len())
        });
    });
}

/// 64 KiB of lines, as one read of a socket brings them.
fn end_of_data(criterion: &mut Criterion) {
    let mut text = Vec::new();
    while text.len() < 64 * 1024 {
        text.extend_from_slice(&[b'x'; LINE - 2]);
        text.extend_from_slice(b"\r\n");
    }
    let mut group = criterion.benchmark_group("end of data");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("64 KiB", |bencher| {
        let mut scanner = DataScanner::default();
        bencher.iter(|| {
            let scan = scanner.scan(black_box(&text));
            assert_eq!(scan.status, Status::More);
        });
    });
    group.finish();
}

fn lines(criterion: &mut Criterion) {
    criterion.bench_function("four commands", |bencher| {
        bencher.iter(|| {
            for line in COMMANDS {
                black_box(command::parse(black_box(line)).unwrap());
            }
        });
    });
    criterion.bench_function("three replies, six lines", |bencher| {
        bencher.iter(|| {
            let mut parser = ReplyParser::default();
            for line in REPLIES {
                if black_box(parser.line(black_box(line)).unwrap()).is_some() {
                    parser = ReplyParser::default();
                }
            }
        });
    });
}
