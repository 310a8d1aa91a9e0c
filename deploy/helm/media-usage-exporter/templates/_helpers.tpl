{{/* The name of all objects. A StatefulSet's pods carry it in a label with a hash behind it, of 63
characters at most. */}}
{{- define "media-usage-exporter.fullname" -}}
{{- $long := printf "%s-%s" .Release.Name .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $long = .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- $long = .Release.Name -}}
{{- end -}}
{{- $long | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods. The name is the job that alerts and dashboards look for, by way of the
ServiceMonitor's jobLabel, so no value changes it. */}}
{{- define "media-usage-exporter.selector" -}}
app.kubernetes.io/name: media-usage-exporter
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "media-usage-exporter.chartLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "media-usage-exporter.labels" -}}
{{ include "media-usage-exporter.selector" . }}
{{ include "media-usage-exporter.chartLabels" . }}
{{- end -}}

{{/* The pod of `helm test` is selected by nothing that selects the exporter. */}}
{{- define "media-usage-exporter.testSelector" -}}
app.kubernetes.io/name: media-usage-exporter-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "media-usage-exporter.serviceAccountName" -}}
{{- $own := ternary (include "media-usage-exporter.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end -}}

{{- define "media-usage-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The content of config.yaml. toYaml writes some numbers with an exponent, such as 1e-05, which the
exporter does not take for one. */}}
{{- define "media-usage-exporter.config" -}}
{{- $text := toYaml .Values.config -}}
{{- range regexFindAll "(?m): [0-9.]+e[-+][0-9]+$" $text -1 | uniq -}}
{{- $plain := trimPrefix ": " . | float64 | printf "%.12f" | trimAll "0" | trimSuffix "." -}}
{{- $text = replace . (printf ": %s%s" (hasPrefix "." $plain | ternary "0" "") $plain) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* Not empty where replicas share a database. */}}
{{- define "media-usage-exporter.shared" -}}
{{- with .Values.config.ledger -}}{{- with .url -}}shared{{- end -}}{{- end -}}
{{- end -}}

{{/* Not empty where the exporter answers over TLS. */}}
{{- define "media-usage-exporter.https" -}}
{{- with .Values.webConfig -}}
{{- if and .existingSecret (or .https .tlsSecret) -}}https{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the schema cannot refuse. */}}
{{- define "media-usage-exporter.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not (include "media-usage-exporter.shared" .)) -}}
{{- fail (printf "replicas is %d, but config.ledger.url is not set: a ledger that is a file has one writer, and each further replica would count everything once more. Set config.ledger.url to a database that replicas share, or replicas to 1." (int .Values.replicas)) -}}
{{- end -}}
{{- with .Values.webConfig -}}
{{- if and (not .existingSecret) (or .tlsSecret .https .clientCertificates) -}}
{{- fail "webConfig.tlsSecret, https or clientCertificates is set, but webConfig.existingSecret is not: TLS is turned on by a web configuration, in a Secret, that names the certificate." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.credentials.env (not .Values.credentials.existingSecret) -}}
{{- fail "credentials.env is set, but credentials.existingSecret is not: expected the Secret that the variables are read from." -}}
{{- end -}}
{{- end -}}

{{/* How kubelet asks on a path. It has no certificate to show. */}}
{{- define "media-usage-exporter.probe" -}}
{{- if .context.Values.webConfig.clientCertificates -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if include "media-usage-exporter.https" .context }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "media-usage-exporter.webConfigFile" -}}
/run/web/media-usage-exporter/{{ .Values.webConfig.key }}
{{- end -}}

{{/* The web configuration with all that it names, in one folder. */}}
{{- define "media-usage-exporter.webConfigVolume" -}}
name: web-config
projected:
  defaultMode: 288  # 0440
  sources:
    - secret:
        name: {{ .Values.webConfig.existingSecret }}
    {{- with .Values.webConfig.tlsSecret }}
    - secret:
        name: {{ . }}
    {{- end }}
{{- end -}}

{{- define "media-usage-exporter.webConfigMount" -}}
name: web-config
mountPath: /run/web/media-usage-exporter
readOnly: true
{{- end -}}

{{/* What keeps a pod of this chart from having more rights than it needs. */}}
{{- define "media-usage-exporter.confinement" -}}
serviceAccountName: {{ include "media-usage-exporter.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}
