"""Dolby.io Media: what each answer means, and what it costs to be wrong about it."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    ClientCredentials,
    Event,
    Level,
    Request,
    Span,
    Step,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import SchemaError, ServerError
from exporter.providers.dolby_media import PROVIDER

USAGE, JOBS = PROVIDER.feeds(("usage", "jobs"), {})


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


TODAY = at("2022-01-02")
DAYS = Ask(
    now=TODAY + 15 * HOUR,
    spans=(
        Span(Window(TODAY - DAY, TODAY), Step.DAY),
        Span(Window(TODAY, TODAY + DAY), Step.DAY),
    ),
)
JOBS_START = at("2021-08-10T04:00:00")
LAST_HOURS = Ask(
    now=at("2021-08-10T05:20:00"),
    spans=(Span(Window(JOBS_START, at("2021-08-10T06:00:00")), Step.HOUR),),
)


def read_usage(document) -> Answer:
    request = next(iter(USAGE.requests(DAYS)))
    return USAGE.parse(request, json.dumps(document).encode(), DAYS)


def read_jobs(*jobs, **page) -> Answer:
    request = next(iter(JOBS.requests(LAST_HOURS)))
    return JOBS.parse(request, json.dumps({"jobs": jobs, **page}).encode(), LAST_HOURS)


def counted(answer: Answer) -> dict[tuple[str, str], int]:
    """Amounts by the measure's name and the path."""
    return {(row.measure.name, row.labels[0]): row.amount for row in answer.usage}


def job(**fields):
    return {
        "job_id": "j1",
        "path": "/media/enhance",
        "status": "Success",
        "time_submitted": "2021-08-10T05:00:00.000Z",
        "time_started": "2021-08-10T05:00:02.000Z",
        "time_completed": "2021-08-10T05:00:12.500Z",
    } | fields


def row(**fields):
    return {"path": "/media/enhance", "jobs": 12, "succeeded": 11, "failed": 1} | fields


def happened(answer: Answer) -> list[Event]:
    """The events of all jobs, in the order of the list."""
    return [event for item in answer.items for event in item.events]


def end(answer: Answer) -> Event:
    """The only end of a job in the answer."""
    (event,) = [event for event in happened(answer) if event.counts]
    return event


def start(answer: Answer) -> Event:
    """The only start of a job in the answer."""
    (event,) = [event for event in happened(answer) if not event.counts]
    return event


def in_progress(answer: Answer) -> dict[tuple[str, ...], int | float]:
    """Jobs in progress by path and status, summed as levels are."""
    found: dict[tuple[str, ...], int | float] = {}
    for level in (*answer.levels, *(level for item in answer.items for level in item.levels)):
        if level.measure is measures.JOBS_IN_PROGRESS:
            assert level.additive
            found[level.labels] = found.get(level.labels, 0) + level.value
    return found


def unfinished(answer: Answer) -> dict[str, int]:
    """When jobs were submitted that have to be listed again, by id."""
    return {item.id: item.unfinished for item in answer.items if item.unfinished is not None}


def timings(event: Event) -> dict[str, tuple[tuple[str, ...], int]]:
    return {measure.name: (labels, amount) for measure, labels, amount in event.timings}


def test_the_token_comes_from_another_host():
    """A JWT of api.dolby.io, fetched with the app's key and secret, opens api.dolby.com."""
    assert PROVIDER.url == "https://api.dolby.com"
    assert PROVIDER.auth_url == "https://api.dolby.io"
    assert PROVIDER.authentication[0] == ClientCredentials("/v1/auth/token")


class TestUsage:
    def test_every_day_is_asked_for_by_itself(self):
        """An answer has no split by day and both its ends are inclusive, so from = to."""
        assert [request.params for request in USAGE.requests(DAYS)] == [
            (("from", "2022-01-01"), ("to", "2022-01-01")),
            (("from", "2022-01-02"), ("to", "2022-01-02")),
        ]

    def test_one_request_never_spans_two_days(self):
        """The scheduler cuts windows to a day, and asks for yesterday until it has settled."""
        assert [resolution.longest for resolution in USAGE.resolutions] == [DAY]
        assert USAGE.settling == DAY

    def test_counts_belong_to_the_day_that_was_asked_for(self):
        """The rows do not say which day they are about; the request does."""
        (first, second) = USAGE.requests(DAYS)
        body = json.dumps({"usage": [row()]}).encode()
        starts = [
            {usage.start for usage in USAGE.parse(request, body, DAYS).usage}
            for request in (first, second)
        ]
        assert starts == [{TODAY - DAY}, {TODAY}]

    def test_jobs_succeeded_and_failed_are_three_counters(self):
        """Jobs may exceed the sum of the other two (cancelled ones), so none is derived."""
        answer = read_usage({"count": 1, "usage": [row(jobs=15, succeeded=11, failed=1)]})
        labels = ("/media/enhance",)
        assert list(answer.usage) == [
            Usage(measures.JOBS, labels, TODAY - DAY, DAY, 15),
            Usage(measures.JOBS_SUCCEEDED, labels, TODAY - DAY, DAY, 11),
            Usage(measures.JOBS_FAILED, labels, TODAY - DAY, DAY, 1),
        ]

    @pytest.mark.parametrize(
        "document",
        [
            {"usage": [row()]},
            {"count": 1, "results": [row()]},
            {"warnings": [], "usage": [row()]},
            {"warnings": [{"code": 7}], "usage": [row()]},
            {"usage": {"total": 12, "usage_details": [row()]}},
            [row()],
        ],
    )
    def test_the_list_is_found_under_any_key(self, document):
        """The wrapper is not documented: the list is known by the path in its objects."""
        assert counted(read_usage(document))["media_jobs_total", "/media/enhance"] == 12

    @pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
    def test_keys_are_read_ignoring_case(self, spell):
        """The page writes Path, Jobs, Succeeded, Failed; what is sent, nobody has written down."""
        answer = read_usage({"Usage": [{spell(key): value for key, value in row().items()}]})
        assert counted(answer) == {
            ("media_jobs_total", "/media/enhance"): 12,
            ("media_jobs_succeeded_total", "/media/enhance"): 11,
            ("media_jobs_failed_total", "/media/enhance"): 1,
        }

    @pytest.mark.parametrize(
        "document", [{"count": 0, "usage": []}, [], {"usage": {"usage_details": []}}]
    )
    def test_an_empty_list_is_no_jobs_and_no_zero(self, document):
        """A day without jobs has no rows: that is a valid answer that changes nothing."""
        assert read_usage(document) == Answer(usage=[], follow=())

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"count": 0},
            {"rows": 3},
            {"rows": None},
            {"next_token": None},
            {"usage": 3},
            {"usage": {"/media/enhance": {"jobs": 12}}},
            {"usage": [{"endpoint": "/media/enhance", "minutes": 12}]},
            {"usage": [{}]},
            {"usage": [row(), {"minutes": 3}]},
            {"usage": [row(), {}]},
            {"usage": [row(), 3]},
            {"usage": [row(), None]},
            {"usage": [{"path": "/media/enhance"}]},
            {"usage": [{"path": "/media/enhance", "job_id": "j1", "status": "Success"}]},
            {"usage": [row(path=7)]},
            "usage",
            None,
        ],
    )
    def test_any_other_shape_fails_loudly(self, document):
        """Guessing further would turn a new shape into silence."""
        with pytest.raises(SchemaError, match=r"^\$"):
            read_usage(document)

    @pytest.mark.parametrize(
        "document",
        [
            {"usage": None},
            {"count": 0, "Usage": None, "next_token": None},
            {"usage": {"usage_details": None}},
        ],
    )
    def test_null_in_place_of_the_list_is_no_jobs(self, document):
        """Some servers write an empty list as null."""
        assert read_usage(document) == Answer(usage=[], follow=())

    def test_a_list_with_paths_goes_before_one_that_only_counts(self):
        """A list of totals beside the rows must not be taken for them."""
        totals = {"jobs": 40, "succeeded": 38, "failed": 2}
        answer = read_usage({"totals": [totals], "usage": [row()]})
        assert counted(answer)["media_jobs_total", "/media/enhance"] == 12
        assert ("media_jobs_total", "unknown") not in counted(answer)

    @pytest.mark.parametrize("key", ["jobs", "succeeded", "failed"])
    @pytest.mark.parametrize(
        "value", [-1, -1.0, 1.5, "12", "", True, [], {}, 2**53 + 1, 1e300, float("1e16")]
    )
    def test_a_count_is_a_whole_number_from_0(self, key, value):
        """The fault is said with its place in the answer."""
        with pytest.raises(SchemaError, match=rf"\$\.usage\[0\]\.{key}"):
            read_usage({"usage": [row(**{key: value})]})

    def test_an_integral_float_is_a_count(self):
        """JSON has one kind of number; what is recorded is an `int` all the same."""
        answer = read_usage({"usage": [row(jobs=12.0, succeeded=11.0, failed=1.0)]})
        assert answer == read_usage({"usage": [row()]})
        assert {type(usage.amount) for usage in answer.usage} == {int}

    @pytest.mark.parametrize("leave_out", [False, True])
    @pytest.mark.parametrize("key", ["jobs", "succeeded", "failed"])
    def test_a_count_that_is_null_or_absent_is_no_row(self, key, leave_out):
        """Not known is not 0; the other two are known."""
        fields = row(**{key: None})
        if leave_out:
            del fields[key]
        missing = f"media_{key}_total" if key == "jobs" else f"media_jobs_{key}_total"
        found = counted(read_usage({"usage": [fields]}))
        assert found == {
            series: amount
            for series, amount in counted(read_usage({"usage": [row()]})).items()
            if series[0] != missing
        }
        assert len(found) == 2

    def test_a_row_of_nulls_counts_nothing(self):
        answer = read_usage({"usage": [row(jobs=None, succeeded=None, failed=None)]})
        assert answer.usage == []

    @pytest.mark.parametrize("fields", [row(path=None), row(path="")])
    def test_a_null_path_is_unknown(self, fields):
        """A label that the vendor leaves null is `unknown`."""
        answer = read_usage({"usage": [fields]})
        assert ("media_jobs_total", "unknown") in counted(answer)

    @pytest.mark.parametrize("others", [[], [row()]])
    def test_an_absent_path_is_unknown(self, others):
        """A row is known by its counts, too, also where no other row has a path."""
        answer = read_usage({"usage": [{"jobs": 3, "succeeded": 2, "failed": 1}, *others]})
        assert (
            counted(answer).items()
            >= {
                ("media_jobs_total", "unknown"): 3,
                ("media_jobs_succeeded_total", "unknown"): 2,
                ("media_jobs_failed_total", "unknown"): 1,
            }.items()
        )

    def test_how_new_the_data_is_follows_from_what_was_counted(self):
        """The day that was asked for; one without jobs says nothing."""
        assert read_usage({"usage": [row()]}).newest is None

    @pytest.mark.parametrize("key", ["next_token", "nextToken", "NextToken"])
    def test_the_next_page_is_asked_for_with_its_token(self, key):
        """The other parameters stay; a token replaces the one before."""
        first = next(iter(USAGE.requests(DAYS)))
        body = json.dumps({"usage": [row()], key: "t1"}).encode()
        (second,) = USAGE.parse(first, body, DAYS).follow
        assert second == Request(first.path, (*first.params, ("next_token", "t1")), first.span)
        body = json.dumps({"usage": [row()], key: "t2"}).encode()
        (third,) = USAGE.parse(second, body, DAYS).follow
        assert third.params == (*first.params, ("next_token", "t2"))

    def test_a_token_inside_the_wrapper_is_found(self):
        """A page that is overlooked is usage that is lost."""
        answer = read_usage({"usage": {"usage_details": [row()], "next_token": "t1"}})
        assert len(answer.follow) == 1

    @pytest.mark.parametrize("end", [{}, {"next_token": None}, {"next_token": ""}])
    def test_the_list_ends_at_an_absent_null_or_empty_token(self, end):
        assert read_usage({"usage": [row()], **end}).follow == ()

    def test_a_token_of_another_type_fails(self):
        with pytest.raises(SchemaError, match=r"\$\.next_token"):
            read_usage({"usage": [row()], "next_token": 7})

    def test_malformed_json_fails(self):
        request = next(iter(USAGE.requests(DAYS)))
        with pytest.raises(msgspec.DecodeError):
            USAGE.parse(request, b"<html>", DAYS)


class TestJobs:
    def test_the_list_is_asked_for_from_the_earliest_instant_on(self):
        """`submitted_after` is inclusive; without an end, the newest jobs belong in."""
        spans = (
            Span(Window(JOBS_START + HOUR, JOBS_START + 2 * HOUR), Step.HOUR),
            Span(Window(JOBS_START, JOBS_START + HOUR), Step.HOUR),
        )
        (request,) = JOBS.requests(Ask(now=LAST_HOURS.now, spans=spans))
        assert request.path == "/media/jobs"
        assert request.params == (("submitted_after", "2021-08-10T04:00:00Z"),)

    def test_nothing_is_asked_for_without_a_window(self):
        assert list(JOBS.requests(Ask(now=LAST_HOURS.now))) == []

    def test_the_vendor_keeps_31_days(self):
        assert [resolution.reach for resolution in JOBS.resolutions] == [31 * DAY]

    def test_a_finished_job_is_its_start_and_its_end(self):
        """Milliseconds are kept: queued for 2 s, processed for 10.5 s."""
        assert happened(read_jobs(job())) == [
            Event(
                id="j1 started",
                since=at("2021-08-10T05:00:00"),
                at=at("2021-08-10T05:00:02"),
                counts=(),
                timings=((measures.JOB_QUEUE_SECONDS, ("/media/enhance",), 2000),),
            ),
            Event(
                id="j1",
                since=at("2021-08-10T05:00:00"),
                at=at("2021-08-10T05:00:12"),
                counts=((measures.JOBS_FINISHED, ("/media/enhance", "success")),),
                timings=((measures.JOB_PROCESSING_SECONDS, ("/media/enhance", "success"), 10500),),
            ),
        ]

    def test_a_running_job_has_started_and_is_unfinished(self):
        """How long it waited is known hours before it ends."""
        fields = job(status="Running", time_completed=None)
        answer = read_jobs(fields)
        assert happened(answer) == [start(read_jobs(job()))]
        assert unfinished(answer) == {"j1": at("2021-08-10T05:00:00")}
        assert in_progress(answer)["/media/enhance", "running"] == 1

    def test_the_start_is_the_same_event_before_and_after_the_end(self):
        """It counts once however many polls see it."""
        running = read_jobs(job(status="Running", time_completed=None))
        assert start(running) == start(read_jobs(job(status="Failed")))

    def test_a_pending_job_has_not_started_whatever_its_times_say(self):
        answer = read_jobs(job(status="Pending"))
        assert happened(answer) == []
        assert unfinished(answer) == {"j1": at("2021-08-10T05:00:00")}

    def test_a_running_job_without_a_start_is_in_no_histogram_yet(self):
        answer = read_jobs(job(status="Running", time_started=None, time_completed=None))
        assert happened(answer) == []
        assert unfinished(answer) == {"j1": at("2021-08-10T05:00:00")}

    def test_a_start_before_the_submission_is_no_wait(self):
        """`time_started` is cut to whole seconds: 22:46:25.000 for a job of 22:46:25.537."""
        answer = read_jobs(
            job(
                time_submitted="2021-08-10T22:46:25.537Z",
                time_started="2021-08-10T22:46:25.000Z",
                time_completed="2021-08-10T22:46:37.900Z",
            )
        )
        assert timings(start(answer)) == {"media_job_queue_seconds": (("/media/enhance",), 0)}
        assert timings(end(answer))["media_job_processing_seconds"][1] == 12900

    @pytest.mark.parametrize("never", [None, "", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
    def test_a_job_that_never_started_is_in_no_histogram(self, never):
        """It was cancelled in the queue, but it finished and is counted."""
        (event,) = happened(read_jobs(job(status="Cancelled", time_started=never)))
        assert event.timings == ()
        assert event.counts == ((measures.JOBS_FINISHED, ("/media/enhance", "cancelled")),)
        assert event.at == at("2021-08-10T05:00:12")

    @pytest.mark.parametrize("never", [None, "", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
    def test_a_job_without_an_end_finished_when_it_was_submitted(self, never):
        """The only instant that is known stands in; it was queued, but how long it ran is open."""
        answer = read_jobs(job(status="Failed", time_completed=never))
        assert end(answer).at == at("2021-08-10T05:00:00")
        assert end(answer).timings == ()
        assert timings(start(answer))["media_job_queue_seconds"][1] == 2000

    @pytest.mark.parametrize("status", ["Running", "Queued"])
    def test_a_time_before_2000_is_no_time(self, status):
        """Some servers write the year 1 for what has not come yet: 2,020 years are no wait."""
        none = "0001-01-01T00:00:00Z"
        answer = read_jobs(job(status=status, time_started=none, time_completed=none))
        assert happened(answer) == []
        assert unfinished(answer) == {"j1": at("2021-08-10T05:00:00")}

    @pytest.mark.parametrize("status", ["Running", "Success", "Queued"])
    @pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"])
    def test_a_job_that_was_submitted_at_no_time_is_left_out_and_said_so(self, instant, status):
        """Nobody can say in which window it belongs; the jobs beside it count."""
        undated = job(job_id="undated", status=status, time_submitted=instant)
        answer = read_jobs(undated, job())
        assert list(answer.items) == list(read_jobs(job()).items)
        assert answer.newest == read_jobs(job()).newest
        assert answer.remarks == ("a job that does not say when it was submitted is not counted",)
        assert read_jobs(job()).remarks == ()

    @pytest.mark.parametrize(
        ("status", "label"),
        [
            ("Success", "success"),
            ("Failed", "failed"),
            ("Cancelled", "cancelled"),
            ("InternalError", "internal_error"),
            ("HTTPTimeout", "http_timeout"),
            ("Timed Out", "timed_out"),
        ],
    )
    def test_a_status_that_nobody_documented_is_a_label_value(self, status, label):
        """Two lists of statuses exist and differ; a third one must not be an error."""
        answer = read_jobs(job(status=status))
        assert end(answer).counts == ((measures.JOBS_FINISHED, ("/media/enhance", label)),)
        assert unfinished(answer) == {}

    @pytest.mark.parametrize(
        ("status", "label"),
        [("Queued", "queued"), ("WaitingForInput", "waiting_for_input"), ("", "unknown")],
    )
    def test_a_job_of_unknown_status_is_in_progress_until_it_has_a_time_of_completion(
        self, status, label
    ):
        """Taken for an end it would never be counted with the status that it really ends in."""
        fields = job(status=status, time_started=None, time_completed=None)
        answer = read_jobs(fields)
        assert happened(answer) == []
        assert unfinished(answer) == {"j1": at("2021-08-10T05:00:00")}
        assert in_progress(answer) == {
            ("/media/enhance", label): 1,
            ("/media/enhance", "pending"): 0,
            ("/media/enhance", "running"): 0,
        }
        completed = read_jobs(fields | {"time_completed": "2021-08-10T05:00:12.500Z"})
        assert end(completed).counts[0][1] == ("/media/enhance", label)
        assert unfinished(completed) == {}

    def test_a_job_of_unknown_status_that_has_started_is_in_the_queue_no_more(self):
        answer = read_jobs(job(status="Uploading", time_completed=None))
        assert timings(start(answer)) == {"media_job_queue_seconds": (("/media/enhance",), 2000)}
        assert list(unfinished(answer)) == ["j1"]

    @pytest.mark.parametrize(
        ("status", "label"),
        [
            *((status, "success") for status in ("Success", "success", "SUCCESS")),
            *((status, "failed") for status in ("Failed", "FAILED")),
            *((status, "cancelled") for status in ("Cancelled", "cancelled")),
            *(
                (status, "internal_error")
                for status in (
                    "InternalError",
                    "internal_error",
                    "INTERNAL_ERROR",
                    "internalerror",
                    "INTERNALERROR",
                    "Internal Error",
                )
            ),
        ],
    )
    def test_a_known_end_is_one_without_a_time_and_in_any_spelling(self, status, label):
        answer = read_jobs(job(status=status, time_completed=None))
        assert end(answer).counts == ((measures.JOBS_FINISHED, ("/media/enhance", label)),)
        assert unfinished(answer) == {}
        assert in_progress(answer).keys() == {
            ("/media/enhance", "pending"),
            ("/media/enhance", "running"),
        }

    @pytest.mark.parametrize("status", ["pending", "PENDING", "Pending", "running", "RUNNING"])
    def test_a_known_status_is_in_progress_in_any_spelling(self, status):
        """Also beside a time of completion: what the vendor calls running is running."""
        answer = read_jobs(job(status=status))
        assert [event for event in happened(answer) if event.counts] == []
        assert in_progress(answer)["/media/enhance", status.lower()] == 1

    def test_jobs_in_progress_are_levels_with_an_explicit_zero(self):
        """A path that is in the answer is known to have none running."""
        answer = read_jobs(
            job(job_id="a", status="Pending"),
            job(job_id="b", status="Pending"),
            job(job_id="c", path="/media/transcode"),
        )
        assert in_progress(answer) == {
            ("/media/enhance", "pending"): 2,
            ("/media/enhance", "running"): 0,
            ("/media/transcode", "pending"): 0,
            ("/media/transcode", "running"): 0,
        }
        assert [event.id for event in happened(answer)] == ["c started", "c"]

    def test_the_oldest_unfinished_job_is_the_least_over_the_pages(self):
        """The order of the list is not documented; neither row nor page order is relied on."""
        answer = read_jobs(
            job(job_id="a", status="Running", time_submitted="2021-08-10T04:30:00.250Z"),
            job(job_id="b", status="Pending", time_submitted="2021-08-10T04:20:00.250Z"),
            job(job_id="c", status="Success", time_submitted="2021-08-10T04:10:00.000Z"),
            job(job_id="d", status="Running", time_submitted="2021-08-10T04:25:00.000Z"),
        )
        levels = [level for item in answer.items for level in item.levels]
        assert min(
            (level for level in levels if level.measure is measures.OLDEST_UNFINISHED_JOB),
            key=lambda level: level.value,
        ) == Level(
            measures.OLDEST_UNFINISHED_JOB,
            ("/media/enhance",),
            at("2021-08-10T04:20:00") + 0.25,
            merge="least",
        )

    def test_an_unfinished_job_is_asked_for_again(self):
        """The next window starts at its submission, so that its end is not missed."""
        running = job(status="Running", time_submitted="2021-08-10T04:20:00.250Z")
        answer = read_jobs(running, job(job_id="b"))
        assert unfinished(answer) == {"j1": at("2021-08-10T04:20:00")}
        assert unfinished(read_jobs(job())) == {}

    def test_a_job_from_before_the_window_is_ignored(self):
        """Its id may be forgotten already: counting it would count it twice."""
        answer = read_jobs(
            job(job_id="before", time_submitted="2021-08-10T03:59:59.999Z"),
            job(job_id="first", time_submitted="2021-08-10T04:00:00.000Z"),
        )
        assert [item.id for item in answer.items] == ["first"]

    @pytest.mark.parametrize(
        ("times", "newest"),
        [
            ({}, "2021-08-10T06:00:00"),
            ({"time_completed": "2021-08-10T07:59:59.999Z"}, "2021-08-10T08:00:00"),
            ({"time_completed": "2021-08-10T08:00:00Z"}, "2021-08-10T09:00:00"),
            ({"time_completed": None, "time_started": None}, "2021-08-10T06:00:00"),
            (
                {"time_completed": None, "time_started": "2021-08-10T06:10:00Z"},
                "2021-08-10T07:00:00",
            ),
            (
                {"status": "Pending", "time_completed": "0001-01-01T00:00:00Z"},
                "2021-08-10T06:00:00",
            ),
            ({"time_completed": "9999-12-31T23:59:59Z"}, "2021-08-10T06:00:00"),
        ],
    )
    def test_the_data_is_as_new_as_the_newest_instant_of_a_listed_job(self, times, newest):
        """To the end of its hour, as events are kept by the hour."""
        early = job(
            job_id="early",
            time_submitted="2021-08-10T04:00:00Z",
            time_started="2021-08-10T04:00:00Z",
            time_completed="2021-08-10T04:00:01Z",
        )
        assert read_jobs(early, job(**times)).newest == at(newest)
        assert read_jobs(job(**times), early).newest == at(newest)

    @pytest.mark.parametrize("jobs", [[], [job(time_submitted="0001-01-01T00:00:00Z")]])
    def test_without_a_dated_job_nothing_says_how_new_the_data_is(self, jobs):
        assert read_jobs(*jobs).newest is None

    def test_a_null_list_is_no_jobs(self):
        """Some servers write an empty list as null."""
        request = next(iter(JOBS.requests(LAST_HOURS)))
        answer = JOBS.parse(request, b'{"count": 0, "jobs": null}', LAST_HOURS)
        assert answer == read_jobs()
        assert (*answer.items, *answer.levels) == ()

    def test_pages_follow_with_the_same_window(self):
        answer = read_jobs(job(), count=1, next_token="t1")
        assert [request.params for request in answer.follow] == [
            (("submitted_after", "2021-08-10T04:00:00Z"), ("next_token", "t1"))
        ]
        assert answer.follow[0].span == LAST_HOURS.spans[0]

    @pytest.mark.parametrize("end", [{}, {"next_token": None}, {"next_token": ""}])
    def test_the_list_ends_at_an_absent_null_or_empty_token(self, end):
        assert read_jobs(job(), **end).follow == ()

    @pytest.mark.parametrize("fields", [job(path=None), job(path=""), job()])
    def test_a_null_or_absent_path_is_unknown(self, fields):
        if fields["path"]:
            del fields["path"]
        answer = read_jobs(fields)
        assert end(answer).counts[0][1] == ("unknown", "success")
        assert timings(start(answer))["media_job_queue_seconds"][0] == ("unknown",)

    def test_duration_is_not_used(self):
        """The vendor's examples disagree on what it measures."""
        assert read_jobs(job(duration="PT10S")) == read_jobs(job())

    @pytest.mark.parametrize(
        "broken",
        [
            job(job_id=None),
            job(job_id=""),
            job(job_id=7),
            job(path=7),
            job(status=None),
            job(time_submitted=None),
            job(time_submitted=""),
            job(time_submitted="yesterday"),
            job(time_started="2021-13-10T05:00:00Z"),
            job(time_completed=12),
            {"id": "j1", "state": "Success"},
            {},
            None,
            "j1",
        ],
    )
    def test_a_job_that_cannot_be_read_fails_the_page(self, broken):
        with pytest.raises((SchemaError, msgspec.ValidationError), match=r"\$\.jobs\[1\]"):
            read_jobs(job(), broken)

    @pytest.mark.parametrize("body", ["{}", '{"rows": 3}', '{"count": 0}', '{"next_token": "t"}'])
    def test_an_answer_without_a_list_fails(self, body):
        request = next(iter(JOBS.requests(LAST_HOURS)))
        with pytest.raises(msgspec.ValidationError, match="jobs"):
            JOBS.parse(request, body.encode(), LAST_HOURS)

    @pytest.mark.parametrize("body", ["null", "[]", '{"jobs": {}}', '{"jobs": 0}'])
    def test_an_answer_of_another_type_fails(self, body):
        request = next(iter(JOBS.requests(LAST_HOURS)))
        with pytest.raises(msgspec.ValidationError):
            JOBS.parse(request, body.encode(), LAST_HOURS)


def test_an_error_is_an_error():
    """This vendor has no second way to ask."""
    for feed, ask in ((USAGE, DAYS), (JOBS, LAST_HOURS)):
        request = next(iter(feed.requests(ask)))
        assert feed.refused(request, ServerError("500")) is None
