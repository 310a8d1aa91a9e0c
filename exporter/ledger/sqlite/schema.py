"""The tables of the ledger and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from exporter.model.errors import LedgerError
from exporter.model.values import country

APPLICATION_ID = 0x6D756578
"""'muex': tells a ledger from any other SQLite file."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE account (
            id INTEGER PRIMARY KEY,
            provider TEXT NOT NULL,
            name TEXT NOT NULL,
            UNIQUE (provider, name)
        )""",
        # `began`: the start of the first window ever asked for; what came before is not counted.
        # `polled_at` is the cursor: the newest successful poll. `revisited_at`: the last daily
        # revisit. `resume`: the earliest instant to ask for again. `coarse_until`:
        # up to where buckets of more than one width may lie over each other. `folded_until`:
        # buckets before it are compacted, part of the truth for good.
        """CREATE TABLE feed (
            id INTEGER PRIMARY KEY,
            account INTEGER NOT NULL REFERENCES account (id),
            name TEXT NOT NULL,
            began INTEGER,
            polled_at INTEGER,
            revisited_at INTEGER,
            resume INTEGER,
            newest INTEGER,
            finest INTEGER,
            coarse_until INTEGER NOT NULL DEFAULT 0,
            folded_until INTEGER NOT NULL DEFAULT 0,
            UNIQUE (account, name)
        )""",
        # `held` is what is shown until `held_until`, so that a new series' first increment is
        # seen. `folded`: hidden, its growth goes to the series of stream="__other__".
        """CREATE TABLE series (
            id INTEGER PRIMARY KEY,
            feed INTEGER NOT NULL REFERENCES feed (id),
            measure TEXT NOT NULL,
            labels TEXT NOT NULL,
            truth INTEGER NOT NULL,
            exposed INTEGER NOT NULL,
            created INTEGER NOT NULL,
            held INTEGER,
            held_until INTEGER,
            folded INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX series_of_feed ON series (feed)",
        # Clustered by time within a feed: a poll reads and writes neighbouring pages, compacting
        # deletes from one end, and pages fill up, because hours come in order.
        """CREATE TABLE bucket (
            feed INTEGER NOT NULL,
            start INTEGER NOT NULL,
            width INTEGER NOT NULL,
            series INTEGER NOT NULL,
            amount INTEGER NOT NULL,
            PRIMARY KEY (feed, start, width, series)
        ) WITHOUT ROWID""",
        """CREATE TABLE event (
            feed INTEGER NOT NULL,
            id TEXT NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (feed, id)
        ) WITHOUT ROWID""",
        """CREATE TABLE gap (
            feed INTEGER NOT NULL,
            "from" INTEGER NOT NULL,
            "until" INTEGER NOT NULL,
            PRIMARY KEY (feed, "from")
        ) WITHOUT ROWID""",
        # `folded`: whether the stream is beyond the limit; NULL while it has no series at all.
        """CREATE TABLE stream (
            account INTEGER NOT NULL,
            name TEXT NOT NULL,
            seen_at INTEGER,
            folded INTEGER,
            PRIMARY KEY (account, name)
        ) WITHOUT ROWID""",
        # Names that a feed has asked for. `began` is as for the feed. `left_at` is when one fell
        # out of the feed's step, NULL while it is in step.
        """CREATE TABLE feed_stream (
            feed INTEGER NOT NULL,
            name TEXT NOT NULL,
            began INTEGER,
            left_at INTEGER,
            PRIMARY KEY (feed, name)
        ) WITHOUT ROWID""",
    ),
    (
        # `settled_until`: buckets that end by then are final, as far as anybody can tell.
        # `pushed_until`: those that end by then were remote-written; NULL before the first.
        "ALTER TABLE feed ADD COLUMN settled_until INTEGER",
        "ALTER TABLE feed ADD COLUMN pushed_until INTEGER",
        # What became of settled buckets all the same. `before` is the amount as it was settled,
        # NULL for a bucket that was not there.
        """CREATE TABLE revision (
            feed INTEGER NOT NULL,
            start INTEGER NOT NULL,
            width INTEGER NOT NULL,
            series INTEGER NOT NULL,
            before INTEGER,
            reported INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (feed, start, width, series)
        ) WITHOUT ROWID""",
        """CREATE TRIGGER settled_added AFTER INSERT ON bucket
        WHEN NEW.start + NEW.width <= (SELECT settled_until FROM feed WHERE id = NEW.feed)
        BEGIN
            INSERT INTO revision (feed, start, width, series, before)
            VALUES (NEW.feed, NEW.start, NEW.width, NEW.series, NULL)
            ON CONFLICT DO UPDATE SET reported = 0;
        END""",
        """CREATE TRIGGER settled_changed AFTER UPDATE OF amount ON bucket
        WHEN NEW.amount <> OLD.amount
        AND NEW.start + NEW.width <= (SELECT settled_until FROM feed WHERE id = NEW.feed)
        BEGIN
            INSERT INTO revision (feed, start, width, series, before)
            VALUES (NEW.feed, NEW.start, NEW.width, NEW.series, OLD.amount)
            ON CONFLICT DO UPDATE SET reported = 0;
        END""",
        # Buckets go when they are compacted, which changes nothing, or when a wider one supersedes
        # them, which happens around gaps only: at most a month's step before one.
        """CREATE TRIGGER settled_superseded AFTER DELETE ON bucket
        WHEN OLD.start + 2678400 > (SELECT min("from") FROM gap WHERE feed = OLD.feed)
        AND OLD.start + OLD.width <= (SELECT settled_until FROM feed WHERE id = OLD.feed)
        BEGIN
            INSERT INTO revision (feed, start, width, series, before)
            VALUES (OLD.feed, OLD.start, OLD.width, OLD.series, OLD.amount)
            ON CONFLICT DO UPDATE SET reported = 0;
        END""",
    ),
    (
        # Jobs that have not ended: the listing is asked for again from the oldest on.
        """CREATE TABLE unfinished (
            feed INTEGER NOT NULL,
            id TEXT NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (feed, id)
        ) WITHOUT ROWID""",
        # A job's start is an event of its own from now on. Those that have ended were counted
        # with their end.
        """INSERT OR IGNORE INTO event (feed, id, since)
        SELECT event.feed, event.id || ' started', event.since FROM event
        JOIN feed ON feed.id = event.feed JOIN account ON account.id = feed.account
        WHERE account.provider = 'dolby_media' AND feed.name = 'jobs'""",
        # `listed_at`: the newest good listing of the account's streams. `listed`: whether the feed
        # was ever polled with one; until then the names it brings are where counting begins.
        "ALTER TABLE account ADD COLUMN listed_at INTEGER",
        """UPDATE account SET listed_at =
        (SELECT max(seen_at) FROM stream WHERE stream.account = account.id)""",
        "ALTER TABLE feed ADD COLUMN listed INTEGER NOT NULL DEFAULT 0",
        "UPDATE feed SET listed = 1 WHERE id IN (SELECT feed FROM feed_stream)",
        # `gaps_seen`: what ended by then had been asked for before the gaps were left.
        "ALTER TABLE feed ADD COLUMN gaps_seen INTEGER NOT NULL DEFAULT 0",
        # Ids that the configuration names have a cursor of their own from now on.
        """INSERT OR IGNORE INTO feed_stream (feed, name, began, left_at)
        SELECT DISTINCT feed.id, json_extract(series.labels, '$[#-1]'), NULL, NULL
        FROM series JOIN feed ON feed.id = series.feed JOIN account ON account.id = feed.account
        WHERE account.provider = 'livepeer' AND feed.name IN ('creators', 'public_totals')""",
        # The newest description of each thing that a vendor describes. `identity` are the labels
        # that say which thing.
        """CREATE TABLE description (
            feed INTEGER NOT NULL,
            measure TEXT NOT NULL,
            identity TEXT NOT NULL,
            labels TEXT NOT NULL,
            PRIMARY KEY (feed, measure, identity)
        ) WITHOUT ROWID""",
    ),
    (
        # Countries are codes from now on. The vendor repeats the hours of the last days: under
        # another label than before they would count once more. Names of one country become one
        # series, which has all that each of them had.
        """CREATE TEMP TABLE renamed AS
        SELECT id, first_value(id) OVER (PARTITION BY feed, measure, code ORDER BY id) AS kept,
            json_set(labels, '$[#-1]', code) AS labels
        FROM (SELECT id, feed, measure, labels, country(json_extract(labels, '$[#-1]')) AS code
            FROM series WHERE measure LIKE 'media_country_%')""",
        "CREATE INDEX temp.renamed_kept ON renamed (kept)",
        "CREATE UNIQUE INDEX temp.renamed_id ON renamed (id)",
        # No amount is revised by that: without a `settled_until` the triggers do nothing.
        "CREATE TEMP TABLE settled AS SELECT id, settled_until FROM feed",
        "UPDATE feed SET settled_until = NULL",
        # What a name had been settled at, and what the country's other names have.
        """CREATE TEMP TABLE revised AS
        SELECT revision.feed, revision.start, revision.width, renamed.kept AS series,
            (SELECT sum(CASE WHEN own.series IS NULL THEN bucket.amount ELSE own.before END)
                FROM renamed AS name
                LEFT JOIN revision AS own ON own.feed = revision.feed
                    AND own.start = revision.start AND own.width = revision.width
                    AND own.series = name.id
                LEFT JOIN bucket ON bucket.feed = revision.feed
                    AND bucket.start = revision.start AND bucket.width = revision.width
                    AND bucket.series = name.id
                WHERE name.kept = renamed.kept) AS before,
            min(revision.reported) AS reported
        FROM revision JOIN renamed ON renamed.id = revision.series
        GROUP BY revision.feed, revision.start, revision.width, renamed.kept""",
        "DELETE FROM revision WHERE series IN (SELECT id FROM renamed)",
        "INSERT INTO revision (feed, start, width, series, before, reported)"
        " SELECT feed, start, width, series, before, reported FROM revised",
        """INSERT INTO bucket (feed, start, width, series, amount)
        SELECT feed, start, width, kept, sum(amount) FROM bucket
        JOIN renamed ON renamed.id = bucket.series WHERE renamed.id <> kept
        GROUP BY feed, start, width, kept
        ON CONFLICT DO UPDATE SET amount = amount + excluded.amount""",
        "DELETE FROM bucket WHERE series IN (SELECT id FROM renamed WHERE id <> kept)",
        "UPDATE feed SET settled_until ="
        " (SELECT settled_until FROM settled WHERE settled.id = feed.id)",
        """UPDATE series SET (truth, exposed, created, held, held_until) =
            (SELECT sum(truth), sum(exposed), min(created), NULL, NULL FROM series AS name
            JOIN renamed ON renamed.id = name.id WHERE renamed.kept = series.id)
        WHERE id IN (SELECT kept FROM renamed WHERE id <> kept)""",
        "UPDATE series SET labels = (SELECT labels FROM renamed WHERE renamed.id = series.id)"
        " WHERE id IN (SELECT kept FROM renamed)",
        "DELETE FROM series WHERE id IN (SELECT id FROM renamed WHERE id <> kept)",
        "DROP TABLE renamed",
        "DROP TABLE settled",
        "DROP TABLE revised",
    ),
    (
        # What assets and live streams had by their own ids has metrics of its own from now on.
        # Those beyond the limit come out of the sum of the others, which keeps what it shows.
        """UPDATE series SET folded = 0, exposed = max(exposed, truth),
            measure = replace(measure, 'media_stream_', 'media_creator_')
        WHERE measure IN ('media_stream_views_total', 'media_stream_viewing_seconds_total')
        AND json_extract(labels, '$[#-1]') <> '__other__'
        AND feed IN (SELECT feed.id FROM feed JOIN account ON account.id = feed.account
            WHERE account.provider = 'livepeer' AND feed.name = 'creators')""",
    ),
)
"""`MIGRATIONS[n]` leads from version n to version n + 1."""


def check_identity(connection: sqlite3.Connection) -> int:
    """The version of the ledger that `connection` has open, 0 for an empty file.

    Reads only. Raises LedgerError for a file that is no ledger, or one of a newer version.
    """
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if identity != APPLICATION_ID and (identity != 0 or tables != 0):
        raise LedgerError("it is an SQLite database of another program; it is left as it is")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"it was written by a newer version of this program"
            f" (ledger version {version}, this program knows up to {len(MIGRATIONS)})"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest version, each step in one transaction with its number."""
    connection.create_function("country", 1, country, deterministic=True)
    for number in range(check_identity(connection), len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
