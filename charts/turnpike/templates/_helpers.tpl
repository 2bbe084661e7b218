{{/*
Names and labels. Everything is named after the instance, not after the release: the operator finds its objects by these
names, and two installations in one namespace need two instances anyway.
*/}}
{{- define "turnpike.gateway" -}}
{{ .Values.operator.instance }}-gateway
{{- end }}

{{/* What makes the gateway's pods: with volumes of their own they have names of their own. */}}
{{- define "turnpike.gatewayKind" -}}
{{ ternary "StatefulSet" "Deployment" .Values.gateway.wal.persistence }}
{{- end }}

{{- define "turnpike.operator" -}}
{{ .Values.operator.instance }}-operator
{{- end }}

{{/* Prefix of cluster-scoped names, so that the same instance can be installed into another namespace. */}}
{{- define "turnpike.global" -}}
{{ .Release.Namespace }}-{{ .Values.operator.instance }}
{{- end }}

{{/* Labels that select pods; they never change. Usage: include "turnpike.selector" (list . "gateway") */}}
{{- define "turnpike.selector" -}}
app.kubernetes.io/name: turnpike
app.kubernetes.io/component: {{ index . 1 }}
turnpike.dev/instance: {{ (index . 0).Values.operator.instance }}
{{- end }}

{{/* Labels of an object. Usage: include "turnpike.labels" (list . "gateway") */}}
{{- define "turnpike.labels" -}}
{{- $root := index . 0 -}}
{{ include "turnpike.selector" . }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Metadata of an object. Usage: include "turnpike.meta" (list . "gateway" "name") */}}
{{- define "turnpike.meta" -}}
name: {{ index . 2 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "turnpike.labels" (list (index . 0) (index . 1)) | nindent 2 }}
{{- end }}

{{/* The image of a component: what it overrides, over what all share. Usage: include "turnpike.image" (list . .Values.gateway.image) */}}
{{- define "turnpike.image" -}}
{{- $root := index . 0 -}}
{{- $image := mergeOverwrite (deepCopy $root.Values.image) (index . 1) -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "turnpike.pullPolicy" -}}
{{- $root := index . 0 -}}
{{ (mergeOverwrite (deepCopy $root.Values.image) (index . 1)).pullPolicy }}
{{- end }}

{{/* The part of a pod that all share. Usage: include "turnpike.pod" . */}}
{{- define "turnpike.pod" -}}
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where a pod may run. Usage: include "turnpike.scheduling" (list . "gateway" .Values.gateway) */}}
{{- define "turnpike.scheduling" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "turnpike.selector" (list $root (index $ 1)) | nindent 8 }}
    matchLabelKeys: [{{ ternary "controller-revision-hash" "pod-template-hash" (and (eq (index $ 1) "gateway") $root.Values.gateway.wal.persistence) }}]
  {{- end }}
  {{- end }}
{{- end }}

{{/* What Pod Security's level restricted asks of a container, and a root file system that nobody writes to. */}}
{{- define "turnpike.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Base URL that clients in the cluster call. Usage: include "turnpike.url" (list . .Release.Namespace) */}}
{{- define "turnpike.url" -}}
{{- $root := index . 0 -}}
{{- $root.Values.operator.gatewayURL | default (printf "http://%s.%s.svc:%v" (include "turnpike.gateway" $root) (index . 1) $root.Values.gateway.service.port) -}}
{{- end }}

{{/* NetworkPolicy rule: names may be resolved. */}}
{{- define "turnpike.egressDNS" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* NetworkPolicy rule: the API server, which is no pod and has no label to select it by. */}}
{{- define "turnpike.egressAPIServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end }}

{{/*
A store: the Secret and key that hold its URL, as "name/key"; yours goes before the one for trials, and empty = there is none.
Usage: include "turnpike.store" (list . "database" "postgresql")
*/}}
{{- define "turnpike.store" -}}
{{- $values := (index . 0).Values -}}
{{- $own := (index $values (index . 1)).urlSecret -}}
{{- $trial := index $values.trial (index . 2) -}}
{{- if $own.name -}}
{{ $own.name }}/{{ $own.key }}
{{- else if $trial.enabled -}}
{{ $trial.existingSecret | default (printf "%s-%s" $values.operator.instance (index . 2)) }}/url
{{- end -}}
{{- end }}

{{/* Environment variable with a store's URL. Usage: include "turnpike.storeEnv" (list . "DATABASE_URL" "database" "postgresql") */}}
{{- define "turnpike.storeEnv" -}}
{{- $store := include "turnpike.store" (list (index . 0) (index . 2) (index . 3)) -}}
{{- with $store -}}
- name: {{ index $ 1 }}
  valueFrom: {secretKeyRef: {name: {{ splitList "/" . | first }}, key: {{ splitList "/" . | last }}}}
{{- end -}}
{{- end }}

{{/* NetworkPolicy rule: a store may be reached. Usage: include "turnpike.egressStore" (list . "database" "postgresql") */}}
{{- define "turnpike.egressStore" -}}
{{- $root := index . 0 -}}
{{- if include "turnpike.store" . -}}
{{- $policy := index $root.Values.networkPolicy (index . 1) -}}
- ports:
    {{- range $policy.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if not (index $root.Values (index . 1)).urlSecret.name }}
  to:
    - podSelector:
        matchLabels:
          {{- include "turnpike.selector" (list $root (index . 2)) | nindent 10 }}
  {{- else if $policy.to }}
  to:
    {{- toYaml $policy.to | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* Seconds of a duration such as 1m30s. */}}
{{- define "turnpike.seconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[smh]" . -1 -}}
{{- $sum = add $sum (mul (trimAll "smh" .) (get (dict "s" 1 "m" 60 "h" 3600) (trimAll "0123456789" .))) -}}
{{- end -}}
{{ $sum }}
{{- end }}
