package cli

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// account is what register and login ask for.
type account struct {
	username, email string
	password        string // as a flag, for scripts of old
	stdin           bool   // the password comes from stdin
	caFile          string
	insecure        bool
	verify          bool // the old name of insecure's opposite
	login           bool // register: log in afterwards
}

func (a *account) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&a.username, "username", "u", "", "who you are; asked for when missing")
	flags.BoolVar(&a.stdin, "password-stdin", false, "read the password from stdin")
	flags.StringVar(&a.caFile, "ca-file", "", "trust the authorities in this PEM `file` as well")
	flags.BoolVar(&a.insecure, "insecure", false, "accept any certificate: whoever sits between can read all")
	flags.StringVar(&a.password, "password", "", "the password, which others on this machine can see then")
	flags.BoolVar(&a.verify, "ssl-verify", true, "the opposite of --insecure")
	must(flags.MarkHidden("password"))
	must(flags.MarkHidden("ssl-verify"))
}

func (c *cli) loginCmd() *cobra.Command {
	var a account
	cmd := &cobra.Command{
		Use:   "login [url]",
		Short: "Log in to a platform",
		Long: `Log in to a platform and remember it. Without a URL: the context's, else ` + defaultURL + `.

The login is kept under $XDG_CONFIG_HOME/slipway, readable by you alone. With -c NAME it
is kept under that name; without, the first is called default and others after their host, and
the one you log in to is the one in use (slipway contexts).`,
		Example: `  slipway login
  slipway login https://slipway.example.com
  slipway login -c staging https://slipway.staging.example.com
  pass show slipway | slipway login -u bob --password-stdin slipway.example.com`,
		Args: takes(0, 1, "one URL"),
		RunE: c.verb(func(ctx context.Context, args []string) error { return c.login(ctx, a, first(args)) }),
	}
	a.flags(cmd)
	return c.common(cmd)
}

func (c *cli) registerCmd() *cobra.Command {
	var a account
	cmd := &cobra.Command{
		Use:   "register [url]",
		Short: "Make a user; a platform's first one administers it",
		Long: `Make a user and log in as them. The first user of a platform administers it; after that it
depends on the platform whether anybody may register, or only its administrators.`,
		Example: `  slipway register
  slipway register https://slipway.example.com -u bob --email bob@example.com
  slipway register --login=false -u carol       # an administrator adds somebody`,
		Args: takes(0, 1, "one URL"),
		RunE: c.verb(func(ctx context.Context, args []string) error { return c.register(ctx, a, first(args)) }),
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&a.email, "email", "", "where to reach you")
	cmd.Flags().BoolVar(&a.login, "login", true, "log in as the new user")
	return c.common(cmd)
}

func (c *cli) login(ctx context.Context, a account, address string) error {
	p, conn, err := c.reach(ctx, a, address, "")
	if err != nil {
		return err
	}
	if a.username, err = c.askName(ctx, a.username); err != nil {
		return err
	}
	password := a.password
	if password == "" {
		if password, err = c.askPassword(ctx, a.stdin, "Password: "); err != nil {
			return err
		}
	}
	return c.enter(ctx, p, conn, a.username, password)
}

func (c *cli) register(ctx context.Context, a account, address string) error {
	p, conn, err := c.reach(ctx, a, address, c.tokenFor(address))
	if err != nil {
		return err
	}
	if a.username, err = c.askName(ctx, a.username); err != nil {
		return err
	}
	password := a.password
	if password == "" {
		if password, err = c.newPassword(ctx, a.stdin); err != nil {
			return err
		}
	}
	user, err := conn.Register(ctx, api.Register{Username: a.username, Password: password, Email: a.email})
	if err != nil {
		return err
	}
	if a.login {
		return c.enter(ctx, p, conn, a.username, password)
	}
	return c.answer(user, func() { c.stdout.say("Registered %s at %s.", user.Username, conn.URL()) })
}

// reach finds the platform somebody names. For a bare platform domain it looks
// at the API's name below it as well.
func (c *cli) reach(ctx context.Context, a account, address, token string) (profile, *client.Client, error) {
	p := profile{URL: c.address(address), CAFile: a.caFile, Insecure: a.insecure || !a.verify, Token: token}
	conn, err := c.dial(p)
	if err != nil {
		return p, nil, err
	}
	err = conn.Check(ctx)
	if _, stranger := errors.AsType[*client.NotPlatformError](err); stranger {
		if better := c.below(ctx, p, conn.URL()); better != nil {
			conn, err = better, nil
		}
	}
	p.URL, p.Token = conn.URL(), ""
	if err == nil && strings.HasPrefix(p.URL, "http:") && !client.LocalHost(strings.TrimPrefix(p.URL, "http://")) {
		c.stderr.say("%s %s is not encrypted: the password can be read on its way.", c.stderr.paint(wary, "Warning:"), p.URL)
	}
	return p, conn, err
}

// below is the platform at the API's name below the host of address, or nil.
func (c *cli) below(ctx context.Context, p profile, address string) *client.Client {
	u, err := url.Parse(address)
	if err != nil || strings.HasPrefix(u.Host, "slipway.") || net.ParseIP(u.Hostname()) != nil {
		return nil
	}
	p.URL = u.Scheme + "://slipway." + u.Host
	conn, err := c.dial(p)
	if err != nil || conn.Check(ctx) != nil {
		return nil
	}
	return conn
}

func (c *cli) address(given string) string {
	if given != "" {
		return given
	}
	if address := c.opts.env("SLIPWAY_URL"); address != "" {
		return address
	}
	if p, err := c.loadProfile(c.contextID()); err == nil && p.URL != "" {
		return p.URL
	}
	return defaultURL
}

// tokenFor is the token of the context's user if its platform is the one that
// is named: an administrator registers others.
func (c *cli) tokenFor(address string) string {
	p, _, err := c.identity()
	if err != nil {
		return ""
	}
	named, err := client.ParseURL(c.address(address))
	mine, err2 := client.ParseURL(p.URL)
	if err != nil || err2 != nil || named.String() != mine.String() {
		return ""
	}
	return p.Token
}

// enter logs in and remembers it.
func (c *cli) enter(ctx context.Context, p profile, conn *client.Client, username, password string) error {
	token, err := conn.Login(ctx, username, password)
	if err != nil {
		return err
	}
	p.Username, p.Token = username, token
	if conn, err = c.dial(p); err != nil {
		return err
	}
	if where, err := conn.Platform(ctx); err == nil {
		p.Platform = &where
	}
	name, err := c.keepLogin(p)
	if err != nil {
		return err
	}
	said := struct {
		URL      string `json:"url"`
		Username string `json:"username"`
		Context  string `json:"context"`
	}{p.URL, username, name}
	return c.answer(said, func() {
		c.stdout.say("Logged in as %s at %s.", username, p.URL)
		if name != defaultContext {
			c.stderr.say("The login is called %s; choose among yours with: slipway contexts use NAME", name)
		}
	})
}

func (c *cli) askName(ctx context.Context, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	name, err := c.ask(ctx, "Username: ")
	if err == nil && name == "" {
		err = platform.Invalid("", "a username is needed")
	}
	return name, hinted(err, "Say it with: --username NAME")
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
