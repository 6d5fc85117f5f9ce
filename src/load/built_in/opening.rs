//! What it took to open connections.

use hdrhistogram::Histogram as Hdr;

use crate::load::histogram::{RESIZES, SIGNIFICANT_DIGITS, summary};
use crate::model::OpenedConnections;
use crate::units::Nanos;

/// The times of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    pub connect: Nanos,
    /// Of TLS.
    pub handshake: Option<Nanos>,
}

/// The connections that were opened.
#[derive(Debug)]
pub(super) struct Openings {
    count: u64,
    reconnects: u64,
    connect: Hdr<u64>,
    handshake: Hdr<u64>,
}

impl Default for Openings {
    fn default() -> Self {
        let empty = || Hdr::new(SIGNIFICANT_DIGITS).expect("three digits are allowed");
        Self { count: 0, reconnects: 0, connect: empty(), handshake: empty() }
    }
}

impl Openings {
    pub fn add(&mut self, opening: Opening) {
        self.count += 1;
        self.connect.record(opening.connect.0).expect(RESIZES);
        if let Some(handshake) = opening.handshake {
            self.handshake.record(handshake.0).expect(RESIZES);
        }
    }

    /// The pool had so many places. What was opened beyond them replaced a connection.
    pub fn set_places(&mut self, places: u64) {
        self.reconnects = self.count.saturating_sub(places);
    }

    /// Adds what another thread opened.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.reconnects += other.reconnects;
        self.connect.add(&other.connect).expect(RESIZES);
        self.handshake.add(&other.handshake).expect(RESIZES);
    }

    pub fn finish(&self) -> OpenedConnections {
        OpenedConnections {
            count: self.count,
            reconnects: self.reconnects,
            connect: summary(&self.connect),
            tls_handshake: summary(&self.handshake),
        }
    }
}
