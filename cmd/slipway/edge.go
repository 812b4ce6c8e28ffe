package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/platform"
)

// edgeOptions are what the routers do for apps whose teams said nothing.
type edgeOptions struct {
	// File has the words of "slipway edge --json". A word of a team wins over the
	// file's; networks that the file denies are denied to every app. It is read
	// when serve starts, and at SIGHUP.
	File  string
	words platform.Edge // the same, read by validate
	// HTTPSOnly sends plain HTTP to HTTPS where the team did not choose. Clients
	// that speak no HTTPS are locked out.
	HTTPSOnly bool
	// Whitelist are the addresses and networks, with commas between them, that
	// every app is served to. Empty: everybody.
	Whitelist string
	whitelist []string // the same, read by validate
	// WhitelistMode says what an app's own whitelist does to that: extend it, or
	// override it.
	WhitelistMode string
	// DefaultApp gets the requests for hosts that no app has. Empty: 404.
	DefaultApp string
}

func (o *edgeOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.File, "edge-defaults", "", "file of words as \"slipway edge --json\" prints them, for apps whose teams set nothing else")
	flags.BoolVar(&o.HTTPSOnly, "https-only", false, "send plain HTTP to HTTPS, for apps whose teams did not choose")
	flags.StringVar(&o.Whitelist, "whitelist", "", "addresses and networks, separated by commas, that apps are served to; empty: everybody")
	flags.StringVar(&o.WhitelistMode, "whitelist-mode", "extend", "what an app's own whitelist does to that: extend, override")
	flags.StringVar(&o.DefaultApp, "default-app", "", "app that gets the requests for hosts no app has; empty: they get 404")
}

// follow reads the file again at each signal, until ctx ends. A file with
// something wrong changes nothing.
func (o *edgeOptions) follow(ctx context.Context, log *slog.Logger, again <-chan os.Signal, set func(context.Context, platform.Edge) error) {
	for {
		select {
		case <-again:
		case <-ctx.Done():
			return
		}
		next := *o
		err := next.validate()
		if err == nil {
			err = set(ctx, next.words)
		}
		if err != nil {
			log.Error("the edge's defaults stayed as they were", "err", err)
			continue
		}
		log.Info("the edge's defaults were read again", "file", o.File)
	}
}

// validate reads what the options name.
func (o *edgeOptions) validate() error {
	o.whitelist, o.words = nil, platform.Edge{}
	for entry := range strings.SplitSeq(o.Whitelist, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if _, ok := platform.ParseNetwork(entry); !ok {
			return fmt.Errorf("--whitelist: %q is no address and no network, such as 10.0.0.0/8", entry)
		}
		o.whitelist = append(o.whitelist, entry)
	}
	switch {
	case o.WhitelistMode != "extend" && o.WhitelistMode != "override" && o.WhitelistMode != "":
		return fmt.Errorf("--whitelist-mode: %q is neither extend nor override", o.WhitelistMode)
	case o.DefaultApp != "" && platform.ValidAppID(o.DefaultApp) != nil:
		return fmt.Errorf("--default-app: %q is no name of an app", o.DefaultApp)
	case o.File == "":
		return nil
	}
	text, err := os.ReadFile(o.File)
	if err != nil {
		return fmt.Errorf("--edge-defaults: %w", err)
	}
	if o.words, err = platform.ParseEdge(text); err != nil {
		return fmt.Errorf("--edge-defaults: %s: %w", o.File, err)
	}
	return nil
}
