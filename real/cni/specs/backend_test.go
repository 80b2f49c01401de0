// What the reference's own specs of portmap ask of this package when they run against another plugin, on either backend. It is compiled
// together with them: scripts/real/cni.ts.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// isNftables says which backend the specs run with: PORTMAP_BACKEND.
func isNftables() bool {
	return os.Getenv("PORTMAP_BACKEND") == "nftables"
}

// backendOption is a field of portmap's configuration; without a backend the specs are as they were published.
func backendOption() string {
	if isNftables() {
		return `"backend": "nftables",`
	}
	return ""
}

// rulesOf lists what a container has: its chain of iptables, or its elements in nftables. An error when there is nothing.
func rulesOf(ipt *iptables.IPTables, chain string, containerID string) ([]string, error) {
	if !isNftables() {
		return ipt.List("nat", chain)
	}
	printed, err := exec.Command("nft", "list", "table", "inet", "hostport").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nft: %w: %s", err, printed)
	}
	var found []string
	for _, line := range strings.Split(string(printed), "\n") {
		if strings.Contains(line, "/"+containerID+"\"") {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing of %s in table inet hostport", containerID)
	}
	return found, nil
}

// builtBefore is a program that lies beside the specs.
func builtBefore(name string) (string, error) {
	self, err := os.Executable()
	return filepath.Join(filepath.Dir(self), name), err
}
