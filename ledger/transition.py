"""The one way a delivery changes: locked in order, guarded, with its event and its batch's counter in one statement.

The counter rule (`batch_channel.awaiting` is exactly the number of rows in `sent` or `in_doubt`) and the lock order
(deliveries by batch and seq, then batch_channel) are kept here and nowhere else.
"""

from collections.abc import Sequence

from domain.deliveries import COUNTED, Step

_COUNTED = ", ".join(f"'{status}'" for status in sorted(COUNTED))


def transition(
    step: Step,
    *,
    where: str,
    change: str,
    given: str = "",
    join: str = "",
    keep: Sequence[str] = (),
    returning: str,
    note: str = "reason",
    message_id: str = "NULL",
    wakes: str = "",
    reopens: str = "",
    pick: str = "",
    also: str = "",
) -> str:
    """The SQL of one guarded step, a transaction in itself.

    given: a SELECT that makes the input rows `g`; `join` ties them to `delivery d`. Without them `where` picks alone.
    where: the guard, checked again under the row's lock. keep: columns of `g` needed after it.
    change: the SET list; `l.old` is the state before, `l.<kept>` the input.
    note, message_id: what the event says, as columns of `moved`.
    wakes: for steps whose caller signals runs: where this condition on `moved` holds, or nothing is awaited any more,
    an armed run is disarmed, and `counted` says so. reopens: the same for a run that had ended: it has to look again.
    pick: LIMIT and SKIP LOCKED, for claims. also: more CTEs over `moved`. returning: the closing SELECT.
    """
    g_columns = "".join(f", g.{column}" for column in keep)
    l_columns = "".join(f", l.{column}" for column in keep)
    armed = ", armed = l.armed AND NOT (l.wakes OR (l.entered < 0 AND l.awaiting + l.entered = 0))" if wakes else ""
    look = (
        """, next_look_at = CASE WHEN l.reopens THEN now() ELSE c.next_look_at END,
           done_at = CASE WHEN l.reopens THEN NULL ELSE c.done_at END"""
        if reopens
        else ""
    )
    # An UPDATE first meets a row as it was when the statement began, before its lock was waited for. So `moved` asks
    # nothing of d but its key (else it passes over whatever somebody changed meanwhile, though `locked` has judged the
    # row as it is now), and `counted` counts from what `channels` read under the lock (else CHECK sees an old number).
    return f"""
WITH {f"g AS MATERIALIZED ({given})," if given else ""}
locked AS MATERIALIZED (
    SELECT d.batch_id, d.seq, d.status AS old{g_columns}
      FROM {f"g JOIN delivery d ON {join}" if given else "delivery d"}
     WHERE {where}
     ORDER BY d.batch_id, d.seq {pick.partition("SKIP")[0]}
       FOR UPDATE OF d {"SKIP LOCKED" if "SKIP" in pick else ""}
), moved AS (
    UPDATE delivery d SET {change}, updated_at = now()
      FROM locked l
     WHERE d.batch_id = l.batch_id AND d.seq = l.seq
    RETURNING d.*, l.old{l_columns}
), events AS (
    INSERT INTO delivery_event (batch_id, seq, step, old, new, provider, attempt, key_no, message_id, reason)
    SELECT batch_id, seq, '{step}', old, status, provider, attempt, key_no, {message_id}, {note} FROM moved
), border AS (
    SELECT batch_id, channel, sum(entered) AS entered, bool_or(wakes) AS wakes, bool_or(reopens) AS reopens FROM (
        SELECT batch_id, channel, ({wakes or "false"}) AS wakes, ({reopens or "false"}) AS reopens,
               (status IN ({_COUNTED}))::int - (old IN ({_COUNTED}))::int AS entered FROM moved
    ) AS each_row GROUP BY batch_id, channel HAVING sum(entered) <> 0 OR bool_or(wakes) OR bool_or(reopens)
), channels AS MATERIALIZED (
    SELECT c.batch_id, c.channel, c.armed, c.awaiting, b.entered, b.wakes, b.reopens
      FROM border b JOIN batch_channel c ON c.batch_id = b.batch_id AND c.channel = b.channel
     ORDER BY c.batch_id, c.channel
       FOR UPDATE OF c
), counted AS (
    UPDATE batch_channel c
       SET awaiting = l.awaiting + l.entered{armed}{look}
      FROM channels l
     WHERE c.batch_id = l.batch_id AND c.channel = l.channel
    RETURNING c.batch_id, c.channel, l.armed AND NOT c.armed AS disarmed, l.reopens
){"," + also if also else ""}
{returning}
"""
