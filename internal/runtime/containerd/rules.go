package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// jump leads packets from a chain of the machine's to one of ours.
type jump struct{ table, from, match, to string }

func (n *network) jumps() []jump {
	return []jump{
		// Before every rule of the machine's that accepts: nobody but the
		// machine itself begins a connection to an instance.
		{"mangle", "FORWARD", "-o " + n.bridge, n.chain + "-APART"},
		{"filter", "INPUT", "-i " + n.bridge, n.chain + "-HOST"},
		{"filter", "FORWARD", "-i " + n.bridge, n.chain + "-PASS"},
		{"filter", "FORWARD", "-o " + n.bridge, n.chain + "-PASS"},
		{"nat", "POSTROUTING", "-s " + n.prefix.String() + " ! -o " + n.bridge, n.chain + "-OUT"},
	}
}

// rules are the chains' content. Declaring a chain empties it.
func (n *network) rules() string {
	c := n.chain
	return strings.Join([]string{
		"*mangle", ":" + c + "-APART - [0:0]",
		"-A " + c + "-APART -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
		"-A " + c + "-APART -j DROP",
		"COMMIT",
		"*filter", ":" + c + "-HOST - [0:0]", ":" + c + "-PASS - [0:0]",
		// Of the machine, instances see the answers they owe it and DNS. Whose answer
		// a segment is TCP knows for sure; conntrack may have forgotten the connection
		// or take it for invalid, and whoever waits for the answer would wait for ever.
		"-A " + c + "-HOST -p tcp -m tcp ! --syn -j ACCEPT",
		"-A " + c + "-HOST -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"-A " + c + "-HOST -p udp -m udp --dport 53 -j ACCEPT",
		"-A " + c + "-HOST -p tcp -m tcp --dport 53 -j ACCEPT",
		"-A " + c + "-HOST -p tcp -j REJECT --reject-with tcp-reset",
		"-A " + c + "-HOST -j REJECT",
		"-A " + c + "-PASS -j ACCEPT",
		"COMMIT",
		"*nat", ":" + c + "-OUT - [0:0]",
		"-A " + c + "-OUT -j MASQUERADE",
		"COMMIT", "",
	}, "\n")
}

func (n *network) makeRules() error {
	if err := iptables(n.rules(), "iptables-restore", "--noflush", "--wait"); err != nil {
		return fmt.Errorf("packet rules of instances: %w", err)
	}
	for _, j := range n.jumps() {
		if iptables("", j.command("-C")...) == nil {
			continue
		}
		if err := iptables("", j.command("-I")...); err != nil {
			return fmt.Errorf("packet rules of instances: %w", err)
		}
	}
	const forward = "/proc/sys/net/ipv4/ip_forward"
	if text, err := os.ReadFile(forward); err == nil && strings.TrimSpace(string(text)) == "0" {
		if err := os.WriteFile(forward, []byte("1"), 0); err != nil {
			return fmt.Errorf("let instances reach other machines: %w", err)
		}
	}
	return nil
}

// removeRules finds what is ours by name: the subnet may have been another.
func (n *network) removeRules() error {
	var failed error
	for _, table := range []string{"mangle", "filter", "nat"} {
		out, err := exec.Command("iptables-save", "-t", table).Output() //nolint:noctx // bounded by the kernel
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		failed = errors.Join(failed, n.removeTable(table, string(out)))
	}
	return failed
}

// removeTable removes what a table, as iptables-save prints it, has of ours:
// the ways into our chains, what is in them, and they.
func (n *network) removeTable(table, saved string) error {
	var chains, lines []string
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		if name, found := strings.CutPrefix(line, ":"+n.chain+"-"); found {
			name, _, _ = strings.Cut(name, " ")
			chains = append(chains, n.chain+"-"+name)
		}
		if rule, found := strings.CutPrefix(line, "-A "); found && !strings.HasPrefix(rule, n.chain+"-") && strings.Contains(rule, "-j "+n.chain+"-") {
			lines = append(lines, "-D "+rule)
		}
	}
	if len(chains) == 0 {
		return nil
	}
	for _, verb := range []string{"-F ", "-X "} {
		for _, chain := range chains {
			lines = append(lines, verb+chain)
		}
	}
	return iptables("*"+table+"\n"+strings.Join(lines, "\n")+"\nCOMMIT\n", "iptables-restore", "--noflush", "--wait")
}

func (j jump) command(verb string) []string {
	command := []string{"iptables", "--wait", "-t", j.table, verb, j.from}
	return append(append(command, strings.Fields(j.match)...), "-j", j.to)
}

func iptables(stdin string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // bounded by the kernel
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}
