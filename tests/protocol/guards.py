"""Every guard of the delivery protocol by name. The model is run without each in turn, and has to fail then."""

GUARDS = {
    "fence": "record only WHERE attempt = mine",
    "final": "record only WHERE status IN (sending, in_doubt): never over a receipt",
    "no_resend": "a retry never sends a row again that it finds in `sending`; it becomes in_doubt",
    "abandon": "a retry moves rows it finds in `sending` to in_doubt, and does not leave them",
    "stable_key": "a repeat to a vendor that honours idempotency keys carries the first key",
    "receipt_key": "a negative receipt moves a row only if it names the row's current key",
    "receipt_doubt": "receipts are taken in in_doubt",
    "count_doubt": "in_doubt is counted in awaiting",
    "settle_counts": "settle lowers awaiting by what it takes out of sent and in_doubt",
    "provider": "claim only rows that are queued for this provider",
    "cancel_doubt": "cancel and expire only WHERE doubts = 0",
    "cancel_queued": "cancel only WHERE status = queued",
    "count_duplicate": "a claim with doubts > 0 is counted as a possible duplicate",
    "late_delivered": "a late `delivered` of any key, also after failed or dead, settles the row",
    "window_end": "silence at the last provider ends in unconfirmed",
    "doubt_end": "in_doubt has a deadline",
    "reread": "a wake-up is only a hint: the run reads the rows, and waits again",
    "own_timer": "the run also wakes by its own timer",
    "sweep_rows": "the sweep goes by open rows, not by whether a run was ever started",
}
