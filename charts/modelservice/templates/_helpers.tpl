{{/* Names, labels and references that several templates share. */}}

{{- define "modelservice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "modelservice.operator" -}}
{{- printf "%s-operator" (include "modelservice.fullname" .) -}}
{{- end -}}

{{- define "modelservice.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "modelservice.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "modelservice.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelservice.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "modelservice.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: modelservice
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelservice.adapter" -}}
{{- printf "%s-metrics-adapter" (include "modelservice.fullname" .) -}}
{{- end -}}

{{- define "modelservice.adapterSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-metrics-adapter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelservice.adapterLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "modelservice.adapterSelectorLabels" . }}
app.kubernetes.io/component: metrics-adapter
app.kubernetes.io/part-of: modelservice
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelservice.activator" -}}
{{- printf "%s-activator" (include "modelservice.fullname" .) -}}
{{- end -}}

{{- define "modelservice.activatorSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-activator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelservice.activatorLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "modelservice.activatorSelectorLabels" . }}
app.kubernetes.io/component: activator
app.kubernetes.io/part-of: modelservice
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelservice.nodeCacheSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-node-cache
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelservice.nodeCacheLabels" -}}
{{ include "modelservice.nodeCacheSelectorLabels" . }}
app.kubernetes.io/component: node-cache
app.kubernetes.io/part-of: modelservice
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelservice.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "modelservice.runtimeImage" -}}
{{- default (printf "modelservice/modelservice-runtime:%s" .Chart.AppVersion) .Values.runtime.image -}}
{{- end -}}
