"""The vendors' known quirks, each with the tests that hold it; and those that fit nowhere else."""

from __future__ import annotations

import ast
import json
from itertools import permutations
from pathlib import Path

import pytest

from exporter import providers
from exporter.model import HOUR, Ask, Span, Step, Window

QUIRKS = {
    "millicast": {
        "totals contain their components": "test_totals_contain_the_components_and_are_never_their_sum",
        "examples that do not add up": "test_parts_that_do_not_add_up_are_recorded_as_they_are",
        "three names of one duration": "test_viewing_is_told_by_either_of_two_fields_and_publishing_is_not_viewing",
        "publishing is not viewing": "test_a_country_that_only_publishes_has_no_viewing",
        "two nestings of geo": "test_deprecated_calls_with_their_other_nesting_are_not_used",
        "geo by stream, time, country": "test_streams_by_country_are_nested_stream_then_time",
        "null and empty maps": "test_a_map_without_buckets_may_be_null_or_empty",
        "null and empty geo": "test_countries_may_be_empty_at_every_level",
        "duration or secondsUsed": "test_restreaming_is_told_in_seconds_used_and_by_no_other_name",
        "transcoder ids of any type": "test_transcoders_are_summed_by_day_whatever_their_ids",
        "a year of five digits": "test_a_year_of_five_digits_lies_outside_every_span",
        "absent or empty streams": "test_a_stream_without_data_is_absent_or_empty",
        "zero-filled or sparse": "test_zero_filled_and_sparse_series_come_to_the_same",
        "absent is not zero": "test_absent_buckets_are_not_zero_and_zeros_are",
        "names without reports": "test_names_that_the_vendor_does_not_report_are_left_out_with_a_remark",
        "400 for an unknown stream": "test_a_refused_batch_is_asked_for_name_by_name",
        "403 for a bad secret": "test_a_403_is_a_bad_secret_unless_it_says_something_else",
        "ten names a call": "test_at_most_ten_names_are_asked_for_at_once_and_each_name_once",
        "an empty page ends the summary": "test_pages_are_followed_to_the_last_or_to_an_empty_one",
    },
    "dolby_media": {
        "a token from another host": "test_the_token_comes_from_another_host",
        "31 days of jobs": "test_the_vendor_keeps_31_days",
        "ends of a list": "test_the_list_ends_at_an_absent_null_or_empty_token",
        "unknown statuses": "test_a_status_that_nobody_documented_is_a_label_value",
        "unknown statuses without an end": "test_a_job_of_unknown_status_is_in_progress_until_it_has_a_time_of_completion",
        "statuses in any spelling": "test_a_known_end_is_one_without_a_time_and_in_any_spelling",
        "starts before submissions": "test_a_start_before_the_submission_is_no_wait",
        "an unexplained duration": "test_duration_is_not_used",
        "times that are not there yet": "test_a_job_that_never_started_is_in_no_histogram",
        "the year 1 for no time": "test_a_time_before_2000_is_no_time",
        "lists that are null": "test_null_in_place_of_the_list_is_no_jobs",
        "counts that are floats, null or absent": "test_a_count_that_is_null_or_absent_is_no_row",
        "paths that are null or absent": "test_a_null_or_absent_path_is_unknown",
        "no order of jobs": "test_jobs_come_in_any_order",
        "unpublished keys": "test_keys_are_read_ignoring_case",
        "an unpublished wrapper": "test_the_list_is_found_under_any_key",
        "any other shape": "test_any_other_shape_fails_loudly",
        "no split by day": "test_every_day_is_asked_for_by_itself",
        "jobs neither succeeded nor failed": "test_jobs_succeeded_and_failed_are_three_counters",
        "no jobs at all": "test_an_empty_list_is_no_jobs_and_no_zero",
    },
    "wowza": {
        "401 for the plan": "test_a_401_is_not_always_about_the_token",
        "windows on the hour": "test_an_hour_is_asked_for_exactly",
        "no default windows, none too long": "test_no_window_is_longer_than_90_days_or_left_to_the_vendor",
        "late reports": "test_the_last_three_hours_are_provisional",
        "the window it says it used": "test_another_window_is_refused_beside_or_inside",
        "an open window": "test_the_end_of_an_open_window_may_be_cut",
        "a clock behind ours": "test_an_hour_that_has_not_begun_by_the_vendors_clock_has_nothing_yet",
        "an hour that closes later": "test_an_hour_that_is_not_over_by_the_vendors_clock_is_recorded_so_far",
        "times that are none": "test_a_time_before_the_year_2000_is_no_limit",
        "limits beside or inside": "test_every_usage_answer_has_its_window_checked",
        "two kinds of pages": "test_a_page_number_leads_to_the_next_page",
        "payload versions of any type": "test_a_key_leads_to_the_next_page_until_it_comes_back",
        "ends of a list": "test_a_list_ends_without_a_key_or_at_its_last_page",
        "lists that shift while they are read": "test_a_stream_on_two_pages_counts_once_as_the_later_page_has_it",
        "counts written as floats": "test_counts_may_be_written_as_floats_without_a_fraction",
        "idle streams without amounts": "test_an_idle_stream_without_amounts_is_known_by_name_and_has_no_usage",
        "null lists": "test_a_list_that_is_null_is_empty",
        "summaries without amounts": "test_a_summary_tells_only_of_amounts_that_it_holds",
        "viewers that are null": "test_viewers_that_are_not_told_are_no_sample",
        "deleted streams that bill": "test_a_deleted_stream_that_still_bills_says_so",
        "types that are not in the list": "test_the_type_of_a_stream_may_be_anything",
        "ids and renditions that are numbers": "test_ids_may_be_numbers",
        "account or accounts": "test_the_account_is_an_object_or_a_list_under_either_key",
        "names before 1.8": "test_the_names_before_1_8_are_read_too",
        "unique viewers": "test_viewers_are_unique_and_never_summed",
        "breakdowns only when asked": "test_a_breakdown_that_was_not_given_is_no_sample",
        "lists of the top 100": "test_lists_of_viewers_tell_the_kind_of_their_streams",
        "streams beyond the top 100": "test_configured_streams_have_their_viewers_in_all_whether_the_lists_hold_them_or_not",
        "names that change": "test_the_name_of_a_stream_is_that_of_the_newest_hour_that_lists_it",
    },
    "livepeer": {
        "hollow viewership": "test_hollow_viewership_is_no_data_and_said_so",
        "hollow totals": "test_a_hollow_total_is_no_data_and_said_so",
        "rows that collide": "test_rows_with_equal_labels_add_up",
        "a playback id only when broken down": "test_a_null_playback_id_is_unknown_and_an_absent_one_fails",
        "nobody now": "test_nobody_watching_is_an_explicit_zero",
        "an empty now": "test_an_empty_list_is_no_sample",
        "a silent end at 1,001 rows": "test_a_list_that_was_cut_off_in_silence_is_remarked_upon",
        "no labels about persons": "test_nothing_is_broken_down_by_viewer_or_place_on_the_map",
        "minutes, fractions of them": "test_fractions_of_minutes_are_whole_milliseconds",
        "exits that are a count": "test_an_hour_of_the_whole_account",
        "views from before 2023": "test_views_from_before_2023_are_added",
        "TotalUsageMins is transcoding": "test_an_hour_as_billed",
        "StorageUsageMins is a level": "test_storage_is_a_level_of_the_newest_hour",
        "null or absent": "test_null_and_absent_fields_are_no_samples",
        "500 for a large question": "test_a_question_that_is_too_large_is_known_by_its_text",
        "a list or an object": "test_one_object_for_several_hours_leads_to_shorter_windows",
        "a cache that now() defeats": "test_windows_are_whole_hours_in_unix_milliseconds",
    },
}


def named_in(vendor: str) -> set[str]:
    here = Path(__file__)
    trees = (
        ast.parse(path.read_text(encoding="utf-8"))
        for path in (here, here.with_name(f"test_{vendor}.py"))
    )
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("vendor", QUIRKS)
def test_every_known_quirk_has_a_test_of_its_name(vendor: str) -> None:
    """A quirk that nobody tests is one that nobody has thought about."""
    named = set(QUIRKS[vendor].values())
    assert named - named_in(vendor) == set()


def test_jobs_come_in_any_order() -> None:
    """The order of a job list is not documented: any gives the same events and levels."""
    (feed,) = providers.load()["dolby_media"].feeds(["jobs"], {})
    start = 1_775_000_400
    ask = Ask(start + HOUR, (Span(Window(start, start + 2 * HOUR), Step.HOUR),))
    (request,) = feed.requests(ask)
    jobs = [
        {
            "job_id": "1",
            "path": "/a",
            "status": "Pending",
            "time_submitted": "2026-04-01T00:00:03Z",
        },
        {
            "job_id": "2",
            "path": "/a",
            "status": "Running",
            "time_submitted": "2026-04-01T00:00:01Z",
        },
        {"job_id": "3", "path": "/a", "status": "Failed", "time_submitted": "2026-04-01T00:00:02Z"},
    ]
    found = []
    for order in permutations(jobs):
        answer = feed.parse(request, json.dumps({"jobs": order}).encode(), ask)
        levels = sorted((level.measure.name, level.labels, level.value) for level in answer.levels)
        items = sorted(answer.items, key=lambda item: item.id)
        found.append((items, levels, answer.newest))
    assert found.count(found[0]) == len(found)


def test_ids_may_be_numbers() -> None:
    """Wowza's schemas call ids numbers and its examples write text; either is a label."""
    wowza = providers.load()["wowza"]
    options = {option.key: option.default for option in wowza.options}
    (feed,) = wowza.feeds(["vod_streams"], options)
    ask = Ask(3 * HOUR, (Span(Window(0, HOUR), Step.HOUR),))
    request = next(iter(feed.requests(ask)))
    item = {"id": 7, "name": 8, "viewing_seconds": 1, "viewing_bytes": 2}
    answer = feed.parse(request, json.dumps({"vod_streams": [item]}).encode(), ask)
    (stream,) = answer.items
    assert stream.id == "7"
    assert {row.labels for row in stream.usage} == {("vod", "7")}
    assert [level.labels for level in stream.levels] == [("vod", "7", "8", "unknown")]


def test_nothing_is_broken_down_by_viewer_or_place_on_the_map() -> None:
    """Persons, e-mail addresses and coordinates do not become labels."""
    livepeer = providers.load()["livepeer"]
    ids: dict[str, bool | tuple[str, ...]] = {
        "assets": ("a",),
        "live_streams": ("s",),
        "playback_ids": ("p",),
        "browsers": False,
    }
    ask = Ask(3 * HOUR, (Span(Window(0, HOUR), Step.HOUR),))
    asked = {
        value
        for feed in livepeer.feeds(livepeer.feed_names, ids)
        for request in feed.requests(ask)
        for key, value in request.params
        if key == "breakdownBy[]"
    }
    assert asked == {"playbackId", "country", "device"}
