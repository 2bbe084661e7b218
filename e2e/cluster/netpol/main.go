// Command netpol enforces networking.k8s.io/v1 NetworkPolicy on the test cluster's one node, as one
// nftables table that it replaces whole at each change. It is for tests: no ready-made engine can be
// had as a Go module. It needs the `nft` command, root, and net.bridge.bridge-nf-call-iptables = 1
// (else traffic between pods of one bridge is not seen).
//
// What it does not do: IPv6, SCTP, cutting a connection that is already established when a policy
// arrives. A test on it proves a policy against this reading of the API, not a third party's.
package main

import (
	"flag"
	"fmt"
	"log"
	"os/exec"
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// debounce is how long to wait for more changes before the table is replaced.
const debounce = 20 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}

	factory := informers.NewSharedInformerFactory(client, 0)
	dirty := watch(factory)
	factory.Start(nil)
	factory.WaitForCacheSync(nil)

	applied := ""
	for range dirty {
		time.Sleep(debounce)
		s := read(factory)
		text := s.render()
		if text == applied {
			continue
		}
		begun := time.Now()
		if err := nft(text); err != nil {
			log.Print(err)
			time.Sleep(time.Second)
			mark(dirty)
			continue
		}
		applied = text
		log.Printf("applied %d policies to %d pods in %v", len(s.policies), len(s.pods), time.Since(begun).Round(time.Millisecond))
	}
}

// watch registers for all changes; the channel holds one entry while there is something new to read.
func watch(factory informers.SharedInformerFactory) chan struct{} {
	dirty := make(chan struct{}, 1)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { mark(dirty) },
		UpdateFunc: func(any, any) { mark(dirty) },
		DeleteFunc: func(any) { mark(dirty) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	mark(dirty)
	return dirty
}

func mark(dirty chan struct{}) {
	select {
	case dirty <- struct{}{}:
	default:
	}
}

// read takes the cluster's state from the caches, in a fixed order.
func read(factory informers.SharedInformerFactory) *state {
	s := &state{namespaces: map[string]labels.Set{}}
	pods, _ := factory.Core().V1().Pods().Lister().List(labels.Everything())
	for _, pod := range pods {
		if live(pod) {
			s.pods = append(s.pods, pod)
		}
	}
	sort.Slice(s.pods, func(i, j int) bool { return s.pods[i].UID < s.pods[j].UID })
	namespaces, _ := factory.Core().V1().Namespaces().Lister().List(labels.Everything())
	for _, namespace := range namespaces {
		s.namespaces[namespace.Name] = namespace.Labels
	}
	s.policies, _ = factory.Networking().V1().NetworkPolicies().Lister().List(labels.Everything())
	sort.Slice(s.policies, func(i, j int) bool { return s.policies[i].UID < s.policies[j].UID })
	return s
}

func nft(text string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %v: %s", err, output)
	}
	return nil
}
