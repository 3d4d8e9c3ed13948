{{/* What selects the operator's pods. */}}
{{- define "holystone.selector" -}}
app.kubernetes.io/name: holystone
app.kubernetes.io/component: operator
{{- end }}

{{/* Helm's own labels, which every object has. */}}
{{- define "holystone.release" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{/* The labels of the operator's objects. */}}
{{- define "holystone.labels" -}}
{{ include "holystone.selector" . }}
{{ include "holystone.release" . }}
{{- end }}

{{/* The operator's image. */}}
{{- define "holystone.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* Who the operator is, as bindings say it. */}}
{{- define "holystone.subject" -}}
- kind: ServiceAccount
  name: {{ .Values.serviceAccount.name | quote }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* A list of texts in CEL. No text has quotes or backslashes: the schema of the values sees to that. */}}
{{- define "holystone.cel" -}}
{{ if . }}['{{ join "', '" . }}']{{ else }}[]{{ end }}
{{- end }}
