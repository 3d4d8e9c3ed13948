// Kube is a Kubernetes for tests in one binary: etcd, the control plane, the kubelet and kubectl. It runs the program
// that its first argument names. One binary, for most of each program is what it shares with the others.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func() *cobra.Command{
	"apiserver":          apiserver.NewAPIServerCommand,
	"certificate":        newCertificateCommand,
	"controller-manager": controllermanager.NewControllerManagerCommand,
	"etcd":               newEtcdCommand,
	"kubectl":            kubectl.NewDefaultKubectlCommand,
	"kubelet":            func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kube apiserver|certificate|controller-manager|etcd|kubectl|kubelet|scheduler …")
		os.Exit(64)
	}
	// To the program it looks as if it had been called by its own name.
	os.Args = os.Args[1:]
	os.Exit(cli.Run(programs[os.Args[0]]()))
}

// Etcd reads its arguments by itself.
func newEtcdCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "etcd",
		DisableFlagParsing: true,
		Run:                func(*cobra.Command, []string) { etcdmain.Main(os.Args) },
	}
}

// Makes a certificate for some addresses, together with the one that it is signed by, and its key.
func newCertificateCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "certificate DIRECTORY ADDRESS...",
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			var addresses []net.IP
			for _, address := range arguments[1:] {
				addresses = append(addresses, net.ParseIP(address))
			}
			names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"}
			certificate, key, err := cert.GenerateSelfSignedCertKey(arguments[1], addresses, names)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(arguments[0], "certificate.pem"), certificate, 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(arguments[0], "key.pem"), key, 0o600)
		},
	}
}
