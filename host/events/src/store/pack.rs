//! Compression of what is stored beside the columns, done before an event is queued: the writer's time is for the disk.

use super::error::{EventStoreError, Refusal, SubmitError};
use super::group::{Packed, PackedAttachment, Prepared};
use crate::compress;
use tidegate_model::{Attachment, Event, Value};

/// From so many bytes on, compressing is work for a thread that may block.
const HEAVY: usize = 64 << 10;
/// Longest piece that is unpacked; nothing longer was ever stored.
const MOST: usize = 1 << 30;

/// Memory that an event takes, roughly.
pub(super) fn event_bytes(event: &Event) -> usize {
    let attribute =
        |(name, value): &(String, Value)| 64 + name.len() + if let Value::Str(text) = value { text.len() } else { 0 };
    event.attributes.iter().map(attribute).sum::<usize>() + large_bytes(event)
}

fn large_bytes(event: &Event) -> usize {
    let attachments: usize = event.attachments.iter().map(|a| a.bytes.len() + a.name.len()).sum();
    event.report.as_ref().map_or(0, Vec::len) + attachments
}

/// Compresses the large parts of events. An event of more than `limit` bytes is refused.
pub(super) async fn prepare(events: Vec<Event>, limit: usize) -> Result<Vec<Result<Prepared, Refusal>>, SubmitError> {
    let heavy = events.iter().map(large_bytes).sum::<usize>() > HEAVY;
    let prepare_all = move || -> std::io::Result<Vec<_>> {
        events.into_iter().map(|event| prepare_one(event, limit)).collect::<Result<_, _>>()
    };
    let prepared = if heavy {
        tokio::task::spawn_blocking(prepare_all).await.map_err(|_| SubmitError::Closed)?
    } else {
        prepare_all()
    };
    prepared.map_err(|error| SubmitError::Storage(error.to_string()))
}

fn prepare_one(event: Event, limit: usize) -> std::io::Result<Result<Prepared, Refusal>> {
    let asked = event_bytes(&event);
    if asked > limit {
        return Ok(Err(Refusal::Bytes { limit, asked }));
    }
    Ok(Ok(Prepared {
        uuid: event.uuid,
        attributes: event.attributes,
        report: event.report.map(|report| pack(&report)).transpose()?,
        attachments: event.attachments.into_iter().map(attachment).collect::<Result<_, _>>()?,
    }))
}

/// Compresses an attachment.
pub(super) fn attachment(attachment: Attachment) -> std::io::Result<PackedAttachment> {
    let Attachment { name, content_type, bytes } = attachment;
    Ok(PackedAttachment { name, content_type, packed: pack(&bytes)? })
}

/// Quick: it is done while senders wait.
const LEVEL: i32 = 1;

fn pack(bytes: &[u8]) -> std::io::Result<Packed> {
    Ok(Packed { size: bytes.len(), data: compress::pack_with_checksum(bytes, LEVEL)? })
}

/// The bytes that were packed; `what` names them if they are damaged.
pub(super) fn unpack(data: &[u8], size: i64, what: &str) -> Result<Vec<u8>, EventStoreError> {
    let damaged = || EventStoreError::Corrupt(format!("{what} cannot be unpacked"));
    let size = usize::try_from(size).ok().filter(|&size| size <= MOST).ok_or_else(damaged)?;
    let bytes = compress::unpack_at_most(data, size).map_err(|_| damaged())?;
    if bytes.len() == size { Ok(bytes) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_damage_never_gives_other_bytes() {
        let bytes = b"some text, some text, some text".repeat(100);
        let packed = pack(&bytes).unwrap();
        assert!(packed.data.len() < bytes.len() / 10);
        let size = i64::try_from(packed.size).unwrap();
        assert_eq!(unpack(&packed.data, size, "it").unwrap(), bytes);
        let mut refused = 0;
        for at in 0..packed.data.len() {
            let mut damaged = packed.data.clone();
            damaged[at] ^= 0x10;
            // Some bits of a frame mean nothing; the others are caught.
            refused += usize::from(unpack(&damaged, size, "it").map(|same| assert_eq!(same, bytes)).is_err());
        }
        assert!(refused > packed.data.len() / 2);
        let error = unpack(&packed.data, i64::MAX, "report 1").unwrap_err().to_string();
        assert!(error.contains("report 1 cannot be unpacked"), "{error}");
    }
}
