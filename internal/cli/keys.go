package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) keysCmd() *cobra.Command {
	cmd := group("keys", "Show and change the SSH keys that push as you", c.keysListCmd, c.keyAddCmd(), c.keyRemoveCmd(), c.keyInfoCmd())
	cmd.Example = "  slipway keys\n  slipway keys add\n  slipway keys remove bob@laptop"
	return c.common(cmd)
}

func (c *cli) keysListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the SSH keys that push as you",
		Long:    "List the SSH keys that push as you.",
		Example: "  slipway keys list",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			keys, count, err := s.Keys(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.Key]{
				items: keys, total: count, none: "You have no keys here. Add yours with: slipway keys add",
				heads: []string{"KEY", "ADDED", "TYPE", "FINGERPRINT"},
				row: func(key api.Key) []string {
					kind, _, _ := strings.Cut(key.Public, " ")
					return []string{key.ID, c.when(key.Created), kind, key.Fingerprint}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) keyAddCmd() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "add [file.pub]",
		Short: "Let an SSH key push as you",
		Long: `Let an SSH key push as you. Without a file it is the one in ~/.ssh, or asks which of several;
failing that, the SSH agent's first. The file - is stdin.`,
		Example:           "  slipway keys add\n  slipway keys add ~/.ssh/id_ed25519.pub\n  ssh-add -L | head -1 | slipway keys add - --name agent",
		Args:              takes(0, 2, "one file"),
		ValidArgsFunction: cobra.FixedCompletions([]string{"pub"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			if len(args) == 2 { // Deis' own form: NAME FILE
				name, args = args[0], args[1:]
			}
			public, fallback, err := c.findKey(ctx, first(args))
			if err != nil {
				return err
			}
			if name == "" {
				name = keyName(public, fallback)
			}
			s, err := c.connect()
			if err != nil {
				return err
			}
			key, err := s.AddKey(ctx, name, public)
			if err != nil {
				return err
			}
			return c.answer(key, func() { c.stdout.say("Added the key %s.", key.ID) })
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "what to call it; else its comment, or its file")
	return cmd
}

func (c *cli) keyInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Show one key", Long: "Show one key: its fingerprint, and the whole public half.", Example: "  slipway keys info bob@laptop",
		Args: takes(1, 1, "one NAME"), ValidArgsFunction: c.completeKeys,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			key, err := s.Key(ctx, args[0])
			if err != nil {
				return err
			}
			return c.answer(key, func() {
				var f facts
				f.add("Key", key.ID)
				f.add("Fingerprint", key.Fingerprint)
				f.add("Public", key.Public)
				f.add("Added", c.when(key.Created))
				f.print(c.stdout)
			})
		}),
	}
}

func (c *cli) keyRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Aliases:           []string{"rm"},
		Short:             "Stop an SSH key from pushing as you",
		Long:              "Stop an SSH key from pushing as you. It holds at once.",
		Example:           "  slipway keys remove bob@laptop",
		Args:              takes(1, 1, "one NAME"),
		ValidArgsFunction: c.completeKeys,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.RemoveKey(ctx, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"id": args[0]}, func() { c.stdout.say("Removed the key %s.", args[0]) })
		}),
	}
}

// findKey returns one authorized_keys line, and a name for a key without a comment.
func (c *cli) findKey(ctx context.Context, file string) (public, name string, err error) {
	if file == "-" {
		text, err := io.ReadAll(io.LimitReader(c.opts.Stdin, maxKey))
		if err != nil {
			return "", "", err
		}
		public, err = publicKey(string(text), "stdin")
		return public, "stdin", err
	}
	if file == "" {
		files := c.keyFiles()
		switch {
		case len(files) == 0:
			return c.agentKey(ctx)
		case len(files) == 1:
			file = files[0]
		default:
			if file, err = c.chooseKey(ctx, files); err != nil {
				return "", "", err
			}
		}
		c.stderr.say("Adding %s.", file)
	}
	return readKey(c.path(file))
}

// maxKey bounds a public key file, in bytes.
const maxKey = 64 << 10

func readKey(file string) (public, name string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", "", fileError(err)
	}
	if info.Size() > maxKey || !info.Mode().IsRegular() {
		return "", "", platform.Invalid("", "%s is no public key", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	// Whoever names the private key means the public one beside it.
	if strings.Contains(string(text), "PRIVATE KEY-----") && !strings.HasSuffix(file, ".pub") {
		if _, err := os.Stat(file + ".pub"); err == nil {
			return readKey(file + ".pub")
		}
	}
	public, err = publicKey(string(text), file)
	return public, strings.TrimSuffix(filepath.Base(file), ".pub"), err
}

// publicKey is the first key of text. A private one never leaves this machine.
func publicKey(text, from string) (string, error) {
	if strings.Contains(text, "PRIVATE KEY-----") {
		return "", hinted(platform.Invalid("", "%s is a private key, which is not for sending", from),
			"Write its public half to a file with: ssh-keygen -y -f %s", from)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) >= 2 && strings.HasPrefix(words[1], "AAAA") {
			return line, nil
		}
		break
	}
	return "", hinted(platform.Invalid("", "%s is no public key", from), "Public keys end in .pub, and begin like: ssh-ed25519 AAAA")
}

// keyName is a key's comment, else fallback.
func keyName(public, fallback string) string {
	words := strings.Fields(public)
	if len(words) > 2 {
		return strings.Join(words[2:], " ")
	}
	return fallback
}

// keyFiles are the public keys in ~/.ssh, the usual ones first.
func (c *cli) keyFiles() []string {
	files, err := filepath.Glob(filepath.Join(c.opts.env("HOME"), ".ssh", "*.pub"))
	if err != nil || c.opts.env("HOME") == "" {
		return nil
	}
	order := []string{"id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"}
	rank := func(file string) int {
		if i := slices.Index(order, filepath.Base(file)); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(files, func(a, b string) int { return rank(a) - rank(b) })
	return slices.DeleteFunc(files, func(file string) bool {
		_, _, err := readKey(file)
		return err != nil // a certificate, or something else
	})
}

// chooseKey asks which of several; without a terminal it is the first.
func (c *cli) chooseKey(ctx context.Context, files []string) (string, error) {
	if _, ok := terminal(c.opts.Stdin); !ok {
		return files[0], nil
	}
	c.stderr.say("Which key?")
	for i, file := range files {
		c.stderr.say("  %d  %s", i+1, file)
	}
	answer, err := c.ask(ctx, "Number (1): ")
	if err != nil || answer == "" {
		return files[0], err
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(files) {
		return "", platform.Invalid("", "%q is none of 1 to %d", answer, len(files))
	}
	return files[n-1], nil
}

// agentKey is the SSH agent's first key.
func (c *cli) agentKey(ctx context.Context) (public, name string, err error) {
	missing := hinted(because(platform.ErrNotFound, "there is no SSH key in ~/.ssh"), "Make one with: ssh-keygen -t ed25519")
	if c.opts.env("SSH_AUTH_SOCK") == "" {
		return "", "", missing
	}
	agent := exec.CommandContext(ctx, "ssh-add", "-L")
	agent.Env = c.opts.Env
	out, err := agent.Output()
	if err != nil {
		return "", "", missing
	}
	public, err = publicKey(string(out), "the SSH agent")
	if errors.Is(err, platform.ErrInvalid) {
		return "", "", missing
	}
	return public, "agent", err
}
