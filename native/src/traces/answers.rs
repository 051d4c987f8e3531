//! The JSON-RPC around the traces.

use super::codes::KnownCodes;
use super::json::Cursor;
use super::prestate::Prestate;
use super::{Unusual, Usual, once};

/// The answer to a single request.
pub fn prestate(body: &[u8], codes: &mut KnownCodes) -> Usual<Prestate> {
    let mut cursor = Cursor::new(body);
    let (_, found) = answer(&mut cursor, |cursor| Prestate::read(cursor, codes))?;
    cursor.finish().map(|()| found)
}

/// The answers to a batch of requests numbered from 0.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Each in its place.
    pub found: Vec<Option<Prestate>>,
    /// The bytes of those that are unusual, errors among them. They end where they would end if they are JSON.
    pub odd: Vec<&'a [u8]>,
}

/// The answers to so many requests.
pub fn prestates<'a>(body: &'a [u8], count: usize, codes: &mut KnownCodes) -> Usual<Batch<'a>> {
    let mut cursor = Cursor::new(body);
    // Each answer has some bytes.
    if count > body.len() {
        return Err(Unusual);
    }
    let mut batch = Batch { found: Vec::new(), odd: Vec::new() };
    batch.found.resize_with(count, || None);
    cursor.array(|cursor| {
        let mut again = cursor.clone();
        match answer(cursor, |cursor| Prestate::read(cursor, codes)) {
            Ok((id, each)) => {
                let place = id.and_then(|id| usize::try_from(id).ok()).and_then(|id| batch.found.get_mut(id));
                once(place.ok_or(Unusual)?, each)
            }
            Err(Unusual) => {
                batch.odd.push(again.whole_object()?);
                *cursor = again;
                Ok(())
            }
        }
    })?;
    cursor.finish().map(|()| batch)
}

/// One answer without an error: its number, where it has one, and its result.
pub(super) fn answer<'a, T>(
    cursor: &mut Cursor<'a>,
    mut read: impl FnMut(&mut Cursor<'a>) -> Usual<T>,
) -> Usual<(Option<u64>, T)> {
    let (mut id, mut result, mut error) = (None, None, None);
    cursor.object(|cursor, key| match key {
        b"id" => once(&mut id, cursor.number()?),
        b"result" => once(&mut result, read(cursor)?),
        b"error" if cursor.found_null() => once(&mut error, ()),
        b"error" => Err(Unusual),
        _ => cursor.skip(),
    })?;
    result.map(|result| (id, result)).ok_or(Unusual)
}
