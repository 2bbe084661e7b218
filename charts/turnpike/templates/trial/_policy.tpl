{{/* A store's NetworkPolicy: gateways and, where it reads it, the operator in, nothing out. Usage: include "turnpike.storePolicy" (list . "redis" "name") */}}
{{- define "turnpike.storePolicy" -}}
{{- $root := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "turnpike.meta" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "turnpike.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - {port: {{ index . 1 }}, protocol: TCP}
      from:
        {{- range $component := list "gateway" "operator" }}
        - podSelector:
            matchLabels:
              {{- include "turnpike.selector" (list $root $component) | nindent 14 }}
        {{- end }}
{{- end }}
