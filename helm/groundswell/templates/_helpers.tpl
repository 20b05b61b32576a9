{{/* What everything is called. DaskClusters and Services take a DNS label of at most 53 characters. */}}
{{- define "groundswell.name" -}}
{{- $name := default .Release.Name .Values.fullnameOverride -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$" $name) -}}
{{- fail (printf "name %q: a DNS label is needed (a letter, then letters, digits and -, at most 53): set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* By which a component's pods are found. Takes (dict "root" $ "component" "worker"). */}}
{{- define "groundswell.selector" -}}
app.kubernetes.io/name: groundswell
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Of pods: nothing that changes with the chart's version, or every upgrade would replace every pod. */}}
{{- define "groundswell.podLabels" -}}
app.kubernetes.io/name: groundswell
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: groundswell
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- range $key, $value := .Values.run }}
{{- if $value }}
groundswell.io/{{ eq $key "id" | ternary "run" $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of objects. Takes (dict "root" $ "component" "worker"). */}}
{{- define "groundswell.labels" -}}
{{ include "groundswell.podLabels" .root }}
app.kubernetes.io/component: {{ .component }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Port of a runner's own numbers, as its config says; nothing without. Takes (dict "component" "runner" "part" .Values.runner). */}}
{{- define "groundswell.metricsPort" -}}
{{- if eq .component "runner" -}}
{{- with dig "run" "metrics" "port" "" .part.config -}}{{ int . }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a CronJob is called, which has 52 characters. Takes (dict "root" $ "component" "runner"). */}}
{{- define "groundswell.cronName" -}}
{{- $name := include "groundswell.name" .root -}}
{{- $room := sub 51 (len .component) | int -}}
{{- if gt (len $name) $room -}}
{{- $name = printf "%s-%s" ($name | trunc (sub $room 7 | int) | trimSuffix "-") ($name | sha256sum | trunc 6) -}}
{{- end -}}
{{- printf "%s-%s" $name .component -}}
{{- end -}}

{{/* A quantity of Kubernetes, or a number, as a whole number of bytes. */}}
{{- define "groundswell.bytes" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[A-Za-z]*$" .)) | int64 -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* A size as Kubernetes takes it: text as it is, a number without an exponent. */}}
{{- define "groundswell.quantity" -}}
{{- kindIs "string" . | ternary . (int64 . | toString) | quote -}}
{{- end -}}

{{- define "groundswell.image" -}}
{{- default (printf "groundswell:%s" .Chart.AppVersion) .Values.image.reference -}}
{{- end -}}

{{- define "groundswell.tlsSecret" -}}
{{- default (printf "%s-tls" (include "groundswell.name" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{/* As many workers as there can be. */}}
{{- define "groundswell.most" -}}
{{- with .Values.autoscaling -}}
{{- eq .mode "none" | ternary .minimum .maximum | int -}}
{{- end -}}
{{- end -}}

{{- define "groundswell.address" -}}
{{- printf "%s://%s-scheduler.%s.svc:8786" (.Values.tls.enabled | ternary "tls" "tcp") (include "groundswell.name" .) .Release.Namespace -}}
{{- end -}}

{{/* Whose account a component's pods have. Takes (dict "root" $ "component" "worker" "part" .Values.worker). */}}
{{- define "groundswell.account" -}}
{{- $own := printf "%s-%s" (include "groundswell.name" .root) .component -}}
{{- default (.part.serviceAccount.create | ternary $own "default") .part.serviceAccount.name -}}
{{- end -}}

{{/* Environment variables, each once. Takes (dict "ours" text "env" map): a list as text, and what goes over it. */}}
{{- define "groundswell.env" -}}
{{- $env := default dict .env -}}
{{- range fromYamlArray .ours }}
{{- if not (hasKey $env .name) }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- range $key, $value := $env }}
- {name: {{ $key | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* Dask's configuration, as environment variables of scheduler, workers and Jupyter. */}}
{{- define "groundswell.settings" -}}
{{- $further := dict -}}
{{- range $key, $value := .Values.dask -}}
{{- $_ := set $further (printf "DASK_%s" ($key | upper | replace "." "__" | replace "-" "_")) (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- merge $further (.Files.Get "files/settings.json" | fromJson).dask (dict "DASK_TEMPORARY_DIRECTORY" "/tmp" "HOME" "/tmp") | toYaml -}}
{{- end -}}

{{/* What a worker's interpreter needs from its start: bounds of caches, one thread a library, and how memory is given back. */}}
{{- define "groundswell.workerSettings" -}}
# A full /tmp would evict the pod; a full spill only makes it wait.
DASK_DISTRIBUTED__WORKER__MEMORY__MAX_SPILL: {{ div (include "groundswell.bytes" .Values.worker.disk | int64) 2 | quote }}
{{ (.Files.Get "files/settings.json" | fromJson).worker | toYaml }}
{{- end -}}

{{/* What contradicts itself is refused by name, before anything is made. */}}
{{- define "groundswell.check" -}}
{{- include "groundswell.checkEvents" . -}}
{{- with .Values.autoscaling -}}
{{- if lt (int .maximum) (int .minimum) -}}
{{- fail (printf "autoscaling.maximum: found %d, which is less than autoscaling.minimum %d" (int .maximum) (int .minimum)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.jupyter.enabled (not .Values.cluster.enabled) -}}
{{- fail "jupyter.enabled: found true beside cluster.enabled: false; it has nothing to talk to" -}}
{{- end -}}
{{- if not (or .Values.tls.enabled .Values.networkPolicy.enabled) -}}
{{- fail "tls.enabled: found false beside networkPolicy.enabled: false; whoever reaches port 8786 would run code: enable one" -}}
{{- end -}}
{{- range $part := list "runner" "argoSync" -}}
{{- with get $.Values $part -}}
{{- if and .enabled .config .existingConfigMap -}}
{{- fail (printf "%s.config: found beside %s.existingConfigMap; exactly one of them is read" $part $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.argoSync -}}
{{- if and .enabled (not .config) (not .existingConfigMap) -}}
{{- fail "argoSync.config: found nothing; argoSync.enabled needs it, or argoSync.existingConfigMap" -}}
{{- end -}}
{{- end -}}
{{- with .Values.runner -}}
{{- if and .enabled .rbac (not .serviceAccount.create) (not .serviceAccount.name) -}}
{{- fail "runner.rbac: found true beside runner.serviceAccount.create: false and no name; every pod of the namespace without an account would get its rights: name one" -}}
{{- end -}}
{{- if and .enabled (not .config) (not .existingConfigMap) -}}
{{- fail "runner.config: found nothing; runner.enabled needs it, or runner.existingConfigMap" -}}
{{- end -}}
{{- if and .enabled .config (not .config.clusters) -}}
{{- if not $.Values.cluster.enabled -}}
{{- fail "runner.config: found without clusters beside cluster.enabled: false; it has nowhere to run" -}}
{{- end -}}
{{- if lt (int $.Values.autoscaling.minimum) 1 -}}
{{- fail "autoscaling.minimum: found 0 beside a runner.config without clusters; a run waits for its first worker: set 1" -}}
{{- end -}}
{{- end -}}
{{- if and .enabled .schedule .config (not .config.clusters) (eq $.Values.autoscaling.mode "dask") (gt (int $.Values.idleTimeoutSeconds) 0) -}}
{{- fail (printf "idleTimeoutSeconds: found %d beside runner.schedule; the cluster would be gone before the next run: set 0, or give runner.config clusters of its own" (int $.Values.idleTimeoutSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
