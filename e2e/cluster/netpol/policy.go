package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// table is the nftables table's name.
const table = "netpol"

// state is what the rules are made of.
type state struct {
	pods       []*corev1.Pod
	namespaces map[string]labels.Set
	policies   []*netv1.NetworkPolicy
}

// render writes the whole ruleset: for each isolated pod and direction a chain that returns on a match
// and else drops.
func (s *state) render() string {
	var chains, dispatch strings.Builder
	for i, pod := range s.pods {
		in, isolatedIn, out, isolatedOut := s.rules(pod)
		emit := func(kind, side string, rules []string) {
			fmt.Fprintf(&dispatch, "    ip %s %s jump %s%d\n", side, pod.Status.PodIP, kind, i)
			fmt.Fprintf(&chains, "  chain %s%d { # %s/%s\n", kind, i, pod.Namespace, pod.Name)
			for _, rule := range rules {
				fmt.Fprintf(&chains, "    %s return\n", rule)
			}
			chains.WriteString("    counter drop\n  }\n")
		}
		if isolatedOut {
			emit("out", "saddr", out)
		}
		if isolatedIn {
			emit("in", "daddr", in)
		}
	}
	// forward: pod to pod and out. input: pod to a process of the node (after kube-proxy has rewritten the
	// address). Traffic from the node to its own pods (probes) is always allowed, as the API says.
	return fmt.Sprintf(`table ip %[1]s {}
delete table ip %[1]s
table ip %[1]s {
%[2]s  chain pods {
    ct state established,related return
%[3]s  }
  chain from_forward { type filter hook forward priority filter - 5; policy accept; jump pods; }
  chain from_input { type filter hook input priority filter - 5; policy accept; iifname "lo" accept; jump pods; }
}
`, table, chains.String(), dispatch.String())
}

// rules gives what is allowed into and out of a pod, and whether a policy isolates it that way.
func (s *state) rules(pod *corev1.Pod) (in []string, isolatedIn bool, out []string, isolatedOut bool) {
	for _, policy := range s.policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		if slices.Contains(policy.Spec.PolicyTypes, netv1.PolicyTypeIngress) {
			isolatedIn = true
			for _, rule := range policy.Spec.Ingress {
				in = append(in, s.ingress(rule, pod)...)
			}
		}
		if slices.Contains(policy.Spec.PolicyTypes, netv1.PolicyTypeEgress) {
			isolatedOut = true
			for _, rule := range policy.Spec.Egress {
				out = append(out, s.egress(rule, policy.Namespace)...)
			}
		}
	}
	return in, isolatedIn, out, isolatedOut
}

func (s *state) ingress(rule netv1.NetworkPolicyIngressRule, pod *corev1.Pod) []string {
	members, blocks, everyone := s.peers(rule.From, pod.Namespace)
	return cross(matches("saddr", members, blocks, everyone), ports(rule.Ports, pod))
}

func (s *state) egress(rule netv1.NetworkPolicyEgressRule, namespace string) []string {
	members, blocks, everyone := s.peers(rule.To, namespace)
	rules := cross(matches("daddr", members, blocks, everyone), ports(rule.Ports, nil))
	if !slices.ContainsFunc(rule.Ports, isNamed) {
		return rules
	}
	// A named port has a meaning only for a pod, and may be another number in each.
	if everyone {
		members = s.pods
	}
	for _, member := range members {
		named := slices.DeleteFunc(slices.Clone(rule.Ports), func(p netv1.NetworkPolicyPort) bool { return !isNamed(p) })
		rules = append(rules, cross([]string{"ip daddr " + member.Status.PodIP}, ports(named, member))...)
	}
	return rules
}

// peers finds one side of a rule: the pods and address blocks it names, or everyone if it names nobody.
func (s *state) peers(peers []netv1.NetworkPolicyPeer, own string) (members []*corev1.Pod, blocks []*netv1.IPBlock, everyone bool) {
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if !strings.Contains(peer.IPBlock.CIDR, ":") { // an IPv6 block can match no pod here
				blocks = append(blocks, peer.IPBlock)
			}
			continue
		}
		for _, pod := range s.pods {
			inside := pod.Namespace == own
			if peer.NamespaceSelector != nil {
				inside = selects(peer.NamespaceSelector, s.namespaces[pod.Namespace])
			}
			if inside && (peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)) {
				members = append(members, pod)
			}
		}
	}
	return members, blocks, len(peers) == 0
}

// matches renders the peers of one side; an empty match is true of any packet.
func matches(side string, members []*corev1.Pod, blocks []*netv1.IPBlock, everyone bool) []string {
	if everyone {
		return []string{""}
	}
	var out []string
	if len(members) > 0 {
		var addresses []string
		for _, member := range members {
			addresses = append(addresses, member.Status.PodIP)
		}
		sort.Strings(addresses)
		out = append(out, fmt.Sprintf("ip %s { %s }", side, strings.Join(slices.Compact(addresses), ", ")))
	}
	for _, block := range blocks {
		match := fmt.Sprintf("ip %s %s", side, block.CIDR)
		if len(block.Except) > 0 {
			match += fmt.Sprintf(" ip %s != { %s }", side, strings.Join(block.Except, ", "))
		}
		out = append(out, match)
	}
	return out
}

// ports renders the ports that hold for one destination pod (nil: named ports are left out).
func ports(ports []netv1.NetworkPolicyPort, destination *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var out []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		word := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			out = append(out, "meta l4proto "+word)
		case isNamed(port):
			if number, ok := numberOf(destination, port.Port.StrVal, protocol); ok {
				out = append(out, fmt.Sprintf("%s dport %d", word, number))
			}
		case port.EndPort != nil:
			out = append(out, fmt.Sprintf("%s dport %d-%d", word, port.Port.IntVal, *port.EndPort))
		default:
			out = append(out, fmt.Sprintf("%s dport %d", word, port.Port.IntVal))
		}
	}
	return out
}

// cross joins each peer match with each port match.
func cross(peers, ports []string) []string {
	var out []string
	for _, peer := range peers {
		for _, port := range ports {
			out = append(out, strings.TrimSpace(peer+" "+port))
		}
	}
	return out
}

// numberOf finds a pod's named port.
func numberOf(pod *corev1.Pod, name string, protocol corev1.Protocol) (int32, bool) {
	if pod == nil {
		return 0, false
	}
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, port := range container.Ports {
			same := port.Protocol == protocol || port.Protocol == "" && protocol == corev1.ProtocolTCP
			if port.Name == name && same {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}

func isNamed(port netv1.NetworkPolicyPort) bool {
	return port.Port != nil && port.Port.Type == intstr.String
}

func selects(selector *metav1.LabelSelector, set labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}

// live says whether a pod holds its address: host-network pods and pods that have ended do not.
func live(pod *corev1.Pod) bool {
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
