"""What all dashboards share: variables, annotations, links, the grid, the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from exporter.exposition.own_metrics import BUILD_INFO, POLL_FAILURES, POLL_INTERVAL
from tools.dashboards.panels import DATASOURCE, Panel
from tools.dashboards.queries import ACCOUNT, TARGET, grown, series, target

TAG = "media-usage-exporter"
EVERYTHING = ".+"
COLUMNS = 24
ANNOTATION_STEP = "5m"


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side; `widths` add up to the whole grid."""

    height: int
    panels: Sequence[tuple[int, Panel]]


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of panels under a heading."""

    title: str
    lines: Sequence[Line]


def dashboard(
    *,
    uid: str,
    title: str,
    description: str,
    sections: Sequence[Section],
    more_variables: Sequence[QueryVariable] = (),
    begin: str = "now-24h",
) -> str:
    """The dashboard's JSON."""
    built = (
        Dashboard(f"Media usage / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("utc")
        .time(begin, "now")
        .refresh("5m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .variables([_datasource(), *_targets(), *_accounts(), *more_variables])
        .annotations([_failures(), _restarts()])
        .link(_others())
    )
    y = 0
    number = 0
    for section in sections:
        number += 1
        heading = Row(section.title).collapsed(False).id(number)
        built.with_row(heading.grid_pos(GridPos(x=0, y=y, w=COLUMNS, h=1)))
        y += 1
        for line in section.lines:
            x = 0
            for width, panel in line.panels:
                number += 1
                panel.id(number).grid_pos(GridPos(x=x, y=y, w=width, h=line.height))
                built.with_panel(panel)
                x += width
            y += line.height
    # Grafana looks for dashboards without `id`; `null` says that it gives one.
    text = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    return json.dumps({**text, "id": None}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def variable(
    name: str, label: str, query: str, description: str, *, all_at_first: bool = True
) -> QueryVariable:
    """A variable of several values; one that is not `all_at_first` begins with the first value."""
    made = (
        QueryVariable(name)
        .label(label)
        .description(description)
        .query(query)
        .definition(query)
        .datasource(DATASOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
    )
    if all_at_first:
        made.include_all(True).all_value(EVERYTHING)
        made.current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    return made


def _datasource() -> DatasourceVariable:
    return (
        DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
    )


def _targets() -> list[QueryVariable]:
    info = BUILD_INFO.name
    narrowed = f'{info}{{job=~"{TARGET["job"]}"}}'
    return [
        variable("job", "Job", f"label_values({info}, job)", "The exporter's scrape job."),
        variable(
            "instance",
            "Instance",
            f"label_values({narrowed}, instance)",
            "Which exporter; choose one when several poll the same accounts.",
        ),
    ]


def _accounts() -> list[QueryVariable]:
    # The one metric of every account that is there before its first poll.
    name = POLL_INTERVAL.name
    chosen = 'job=~"$job", instance=~"$instance"'
    provider, account = ACCOUNT
    return [
        variable(
            provider,
            "Provider",
            f"label_values({name}{{{chosen}}}, {provider})",
            "The vendor.",
        ),
        variable(
            account,
            "Account",
            f'label_values({name}{{{chosen}, {provider}=~"${provider}"}}, {account})',
            "The account, as it is called in the exporter's configuration.",
        ),
    ]


def _failures() -> AnnotationQuery:
    labels = ("provider", "account", "feed", "reason")
    made = _annotation("Poll failures", "red")
    made.expr(f"{grown(POLL_FAILURES, ANNOTATION_STEP, labels)} > 0")
    made.title_format("Poll failed: {{reason}}")
    made.text_format("{{provider}} {{account}}, feed {{feed}}")
    return made.tag_keys("provider,reason")


def _restarts() -> AnnotationQuery:
    started = target("process_start_time_seconds")
    present = series(BUILD_INFO)
    made = _annotation("Restarts", "blue")
    made.expr(
        f"changes({started}[{ANNOTATION_STEP}]) * on (job, instance) group_left(version) {present} > 0"
    )
    made.title_format("Exporter started")
    made.text_format("{{instance}}, version {{version}}")
    return made.tag_keys("instance")


def _annotation(name: str, colour: str) -> AnnotationQuery:
    made = AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).hide(False)
    return made.icon_color(colour).step(ANNOTATION_STEP)


def _others() -> DashboardLink:
    return (
        DashboardLink("Media usage")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
        .include_vars(True)
    )
