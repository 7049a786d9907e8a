{{/* Names, labels and what several templates need. */}}

{{- define "pgvigil.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pgvigil.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "pgvigil.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pgvigil.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pgvigil.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "pgvigil.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "pgvigil.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "pgvigil.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The labels by which the Service and others find the pods. They never change. */}}
{{- define "pgvigil.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pgvigil.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of objects. Takes the context, or a dict of it as `root` and more labels as `labels`. */}}
{{- define "pgvigil.labels" -}}
{{- $root := .root | default . -}}
{{- $labels := dict
    "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
    "app.kubernetes.io/version" ($root.Chart.AppVersion | toString)
    "app.kubernetes.io/managed-by" $root.Release.Service
    "app.kubernetes.io/part-of" "pgvigil" -}}
{{- $own := include "pgvigil.selectorLabels" $root | fromYaml -}}
{{- range $more := list $root.Values.commonLabels (.labels | default dict) $own -}}
{{- range $key, $value := $more -}}
{{- $_ := set $labels $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $labels -}}
{{- end -}}

{{/* The metadata of an object. Takes a dict: `root`, `name`, and perhaps `namespace`, `labels`, `annotations`. */}}
{{- define "pgvigil.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default (include "pgvigil.namespace" .root) }}
labels:
  {{- include "pgvigil.labels" (dict "root" .root "labels" .labels) | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The settings file, as text: `config`, with `thresholds` under those of each target. Empty if there is none. */}}
{{- define "pgvigil.settings" -}}
{{- if .Values.config -}}
{{- $config := deepCopy .Values.config -}}
{{- range $target := $config.targets -}}
{{- $thresholds := deepCopy $.Values.thresholds -}}
{{- range $name, $own := $target.thresholds -}}
{{- $both := index $thresholds $name | default dict -}}
{{- range $severity, $value := $own -}}
{{- $_ := set $both $severity $value -}}
{{- end -}}
{{- $_ := set $thresholds $name $both -}}
{{- end -}}
{{- with $thresholds -}}
{{- $_ := set $target "thresholds" . -}}
{{- end -}}
{{- end -}}
{{- tpl (toYaml $config) $ -}}
{{- end -}}
{{- end -}}

{{/* The web configuration, as text; empty if there is none. */}}
{{- define "pgvigil.webConfig" -}}
{{- with .Values.webConfig -}}
{{- tpl (toYaml .) $ -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the settings file and the web configuration; empty if there is neither. */}}
{{- define "pgvigil.settingsSecret" -}}
{{- if .Values.configSecret.name -}}
{{- tpl .Values.configSecret.name . -}}
{{- else if or .Values.config .Values.webConfig -}}
{{- include "pgvigil.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* How pgvigil can be reached: `http`, `https`, or `closed` without a password or certificate, or if that is not known. */}}
{{- define "pgvigil.speaks" -}}
{{- $tls := .Values.webConfig.tls_server_config | default dict -}}
{{- if or .Values.configSecret.webKey .Values.webConfig.basic_auth_users (hasPrefix "Require" ($tls.client_auth_type | default "")) -}}
closed
{{- else -}}
{{- ternary "https" "http" (not (empty $tls)) -}}
{{- end -}}
{{- end -}}

{{/* A probe, as the kubelet can ask it. Takes a dict: `root` and `probe`. */}}
{{- define "pgvigil.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- $speaks := include "pgvigil.speaks" .root -}}
{{- if and $probe.httpGet (eq $speaks "closed") -}}
{{- $probe = set (omit $probe "httpGet") "tcpSocket" (dict "port" $probe.httpGet.port) -}}
{{- else if and $probe.httpGet (eq $speaks "https") -}}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{/* The names of the Secrets to mount, as JSON: those that the settings name by path, and `secrets`. */}}
{{- define "pgvigil.secrets" -}}
{{- $names := list -}}
{{- range .Values.secrets -}}
{{- $names = append $names (tpl . $) -}}
{{- end -}}
{{- range regexFindAll "/etc/pgvigil/secrets/[a-z0-9][-a-z0-9.]*/" (print (include "pgvigil.settings" .) (include "pgvigil.webConfig" .)) -1 -}}
{{- $names = append $names (base .) -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The ConfigMap with collector files; empty if there is none. */}}
{{- define "pgvigil.collectorsConfigMap" -}}
{{- if .Values.collectorsConfigMap -}}
{{- tpl .Values.collectorsConfigMap . -}}
{{- else if .Values.collectors -}}
{{- include "pgvigil.fullname" . }}-collectors
{{- end -}}
{{- end -}}

{{/* Combinations of values that cannot work, and what to do about them. */}}
{{- define "pgvigil.check" -}}
{{- $v := .Values -}}
{{- if and $v.config $v.configSecret.name -}}
{{- fail "config and configSecret.name are both set: keep one of the two" -}}
{{- end -}}
{{- if and $v.webConfig $v.configSecret.name -}}
{{- fail "webConfig and configSecret.name are both set: put it into that Secret, under the key configSecret.webKey" -}}
{{- end -}}
{{- if and $v.configSecret.webKey (not $v.configSecret.name) -}}
{{- fail "configSecret.webKey is a key of the Secret configSecret.name, which is not set" -}}
{{- end -}}
{{- if and $v.collectors $v.collectorsConfigMap -}}
{{- fail "collectors and collectorsConfigMap are both set: keep one of the two" -}}
{{- end -}}
{{- if not (or $v.config $v.configSecret.name $v.env $v.extraEnv $v.extraEnvFrom) -}}
{{- fail "there is nothing to watch: list servers under config.targets (README.md has an example), name a Secret with settings in configSecret.name, or give env.PGVIGIL_POSTGRES_URL" -}}
{{- end -}}
{{- if and $v.config (not $v.config.targets) -}}
{{- fail "config.targets is empty: list at least one server to watch" -}}
{{- end -}}
{{- if and $v.thresholds (not $v.config) -}}
{{- fail "thresholds are for the targets of config, which is empty: put them under the targets in your settings file" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "serviceMonitor and podMonitor are both enabled, which scrapes everything twice: keep one of the two" -}}
{{- end -}}
{{- range $monitor := list "serviceMonitor" "podMonitor" -}}
{{- $targets := keys (index $v $monitor).targets -}}
{{- if and (index $v $monitor).enabled (index $v $monitor).multipleTargets -}}
{{- if and (not $v.config) (not $targets) -}}
{{- fail (printf "%s.multipleTargets: without config, name the targets under %s.targets" $monitor $monitor) -}}
{{- end -}}
{{- end -}}
{{- if $v.config -}}
{{- range $name := $targets -}}
{{- if not (has $name (include "pgvigil.targets" (dict "root" $ "targets" dict) | fromJsonArray)) -}}
{{- fail (printf "%s.targets.%s: config has no target of this name" $monitor $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The names of the targets, as JSON. Takes a dict: `root`, and a monitor's `targets`. */}}
{{- define "pgvigil.targets" -}}
{{- $names := list -}}
{{- if .root.Values.config -}}
{{- range (include "pgvigil.settings" .root | fromYaml).targets -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- else -}}
{{- $names = keys .targets | sortAlpha -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* What a target shares with the others of its cluster, which one shard must see together: its label `cluster`, else its name. Takes a dict:
`root` and `name`. */}}
{{- define "pgvigil.cluster" -}}
{{- $cluster := .name -}}
{{- if .root.Values.config -}}
{{- $name := .name -}}
{{- range (include "pgvigil.settings" .root | fromYaml).targets -}}
{{- if eq .name $name -}}
{{- $cluster = (.labels | default dict).cluster | default $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $cluster -}}
{{- end -}}

{{/* The labels of the pod of `helm test`, by which no Service finds it. */}}
{{- define "pgvigil.testLabels" -}}
app.kubernetes.io/name: {{ include "pgvigil.name" . | trunc 58 }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
