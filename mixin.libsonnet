// Made by `make generate` from the lists of dashboards and of rule files.
//
// A monitoring mixin: grafanaDashboards by file name, prometheusAlerts and prometheusRules as
// documents of rule groups. Everything is imported as it is; there is nothing to configure.
local groups(texts) = std.flatMap(function(text) std.parseYaml(text).groups, texts);

{
  grafanaDashboards+:: {
    'media-usage-billing.json': import 'grafana/dashboards/billing.json',
    'media-usage-exporter.json': import 'grafana/dashboards/exporter.json',
    'media-usage-jobs.json': import 'grafana/dashboards/jobs.json',
    'media-usage-overview.json': import 'grafana/dashboards/overview.json',
    'media-usage-streams.json': import 'grafana/dashboards/streams.json',
  },
  prometheusAlerts+:: {
    groups+: groups([
      importstr 'deploy/prometheus/rules/alerts.yml',
    ]),
  },
  prometheusRules+:: {
    groups+: groups([
      importstr 'deploy/prometheus/rules/month_to_date.yml',
      importstr 'deploy/prometheus/rules/recording.yml',
      importstr 'deploy/prometheus/rules/thresholds.yml',
    ]),
  },
}
