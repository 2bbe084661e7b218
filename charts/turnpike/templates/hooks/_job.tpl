{{/*
A Job of Helm's life cycle that runs the operator's program once, with a ServiceAccount and rights of its own that are gone
when it has succeeded. Usage: include "turnpike.hook" (dict "root" . "name" "crds" "hook" "pre-upgrade" "arguments" (list "install-crds")
"global" RULES "release" RULES "watched" RULES)
*/}}
{{- define "turnpike.hook" -}}
{{- $root := .root -}}
{{- $name := printf "%s-%s" $root.Values.operator.instance .name -}}
{{- $global := printf "%s-%s" (include "turnpike.global" $root) .name -}}
{{- $namespaces := $root.Values.operator.watchNamespaces -}}
{{- $everywhere := concat (.global | default list) (ternary list (.watched | default list) (not (empty $namespaces))) -}}
{{- $before := printf "helm.sh/hook: %s\nhelm.sh/hook-weight: \"-5\"\nhelm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed" .hook -}}
{{- $subjects := list (dict "kind" "ServiceAccount" "name" $name "namespace" $root.Release.Namespace) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "turnpike.meta" (list $root "hook" $name) | nindent 2 }}
  annotations:
    {{- $before | nindent 4 }}
{{- if $everywhere }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $global }}
  labels:
    {{- include "turnpike.labels" (list $root "hook") | nindent 4 }}
  annotations:
    {{- $before | nindent 4 }}
rules:
  {{- toYaml $everywhere | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $global }}
  labels:
    {{- include "turnpike.labels" (list $root "hook") | nindent 4 }}
  annotations:
    {{- $before | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $global }}}
subjects:
  {{- toYaml $subjects | nindent 2 }}
{{- end }}
{{- $bound := dict }}
{{- if .release }}{{ $_ := set $bound $root.Release.Namespace .release }}{{ end }}
{{- if .watched }}
{{- range $namespace := $namespaces }}
{{- $_ := set $bound $namespace (concat (get $bound $namespace | default list) $.watched) }}
{{- end }}
{{- end }}
{{- range $namespace, $rules := $bound }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $global }}
  namespace: {{ $namespace }}
  labels:
    {{- include "turnpike.labels" (list $root "hook") | nindent 4 }}
  annotations:
    {{- $before | nindent 4 }}
rules:
  {{- toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $global }}
  namespace: {{ $namespace }}
  labels:
    {{- include "turnpike.labels" (list $root "hook") | nindent 4 }}
  annotations:
    {{- $before | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $global }}}
subjects:
  {{- toYaml $subjects | nindent 2 }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "turnpike.meta" (list $root "hook" $name) | nindent 2 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 3
  activeDeadlineSeconds: 240
  template:
    metadata:
      labels:
        {{- include "turnpike.labels" (list $root "hook") | nindent 8 }}
    spec:
      serviceAccountName: {{ $name }}
      restartPolicy: Never
      {{- include "turnpike.pod" $root | nindent 6 }}
      {{- with $root.Values.operator.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.operator.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: hook
          image: {{ include "turnpike.image" (list $root $root.Values.operator.image) }}
          imagePullPolicy: {{ include "turnpike.pullPolicy" (list $root $root.Values.operator.image) }}
          command: [turnpike-operator]
          args: {{ .arguments | toJson }}
          env:
            - name: POD_NAMESPACE
              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
          resources:
            requests: {cpu: 20m, memory: 64Mi}
            limits: {memory: 512Mi}
          securityContext:
            {{- include "turnpike.container" $root | nindent 12 }}
{{- end }}
