{{/* The template of the exporter's pods. */}}
{{- define "media-usage-exporter.pod" -}}
{{- $shared := include "media-usage-exporter.shared" . -}}
metadata:
  labels:
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "media-usage-exporter.labels" . | nindent 4 }}
  annotations:
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    # A new configuration is a new pod.
    checksum/config: {{ include "media-usage-exporter.config" . | sha256sum }}
spec:
  {{- include "media-usage-exporter.confinement" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "media-usage-exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        {{- if .Values.webConfig.existingSecret }}
        - --web.config.file={{ include "media-usage-exporter.webConfigFile" . }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .Values.credentials.env .Values.extraEnv }}
      env:
        {{- range $variable, $key := .Values.credentials.env }}
        - name: {{ $variable }}
          valueFrom:
            secretKeyRef:
              name: {{ $.Values.credentials.existingSecret }}
              key: {{ $key | quote }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 10032
      # A big ledger may take minutes to be read.
      startupProbe:
        {{- include "media-usage-exporter.probe" (dict "context" . "path" "/-/healthy") | nindent 8 }}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        {{- include "media-usage-exporter.probe" (dict "context" . "path" "/-/healthy") | nindent 8 }}
        periodSeconds: 30
        timeoutSeconds: 5
        failureThreshold: 4
      readinessProbe:
        {{- include "media-usage-exporter.probe" (dict "context" . "path" "/-/ready") | nindent 8 }}
        periodSeconds: 15
        timeoutSeconds: 5
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/media-usage-exporter
          readOnly: true
        {{- if .Values.credentials.existingSecret }}
        - name: credentials
          mountPath: /run/secrets/media-usage-exporter
          readOnly: true
        {{- end }}
        {{- if .Values.webConfig.existingSecret }}
        - {{- include "media-usage-exporter.webConfigMount" . | nindent 10 }}
        {{- end }}
        {{- if not $shared }}
        - name: ledger
          mountPath: /var/lib/media-usage-exporter
        {{- end }}
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "media-usage-exporter.fullname" . }}
    {{- with .Values.credentials.existingSecret }}
    - name: credentials
      secret:
        secretName: {{ . }}
        defaultMode: 288  # 0440
    {{- end }}
    {{- if .Values.webConfig.existingSecret }}
    - {{- include "media-usage-exporter.webConfigVolume" . | nindent 6 }}
    {{- end }}
    {{- if and .Values.persistence.existingClaim (not $shared) }}
    - name: ledger
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 64Mi
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
