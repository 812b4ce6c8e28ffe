package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/node"
)

// accessOptions say what a node tells of the requests it serves.
type accessOptions struct {
	// AccessLog is a file, - for the standard output, app for each app's own log,
	// or empty: nothing is written. A file is set aside at 100 MiB, five are kept.
	AccessLog string
	// AccessFormat is json or combined.
	AccessFormat string
	// AccessSample is how many of a thousand requests are written where an app
	// says nothing else; those that failed always are.
	AccessSample int
	// AccessQuery writes query strings too, which may hold secrets.
	AccessQuery bool
	// Metrics is an address that tells Prometheus of all apps, whoever asks.
	// Empty: administrators are told at /v2/metrics/ of the API, nobody else.
	Metrics string
}

func (o *accessOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.AccessLog, "access-log", "", "where requests are written down: a file, - for the standard output, app for each app's own log; empty: nowhere")
	flags.StringVar(&o.AccessFormat, "access-format", "json", "how: json or combined")
	flags.IntVar(&o.AccessSample, "access-sample", 1000, "how many of 1000 requests are written, besides those that failed, where an app says nothing else")
	flags.BoolVar(&o.AccessQuery, "access-query", false, "write query strings too, which may hold secrets")
	flags.StringVar(&o.Metrics, "metrics", "", "address that answers Prometheus at /metrics, whoever asks; empty: none, see /v2/metrics/ of the API")
}

// arguments hand the options on to a node.
func (o *accessOptions) arguments() []string {
	return []string{
		"--access-log", o.AccessLog, "--access-format", o.AccessFormat, "--access-sample", strconv.Itoa(o.AccessSample),
		fmt.Sprintf("--access-query=%t", o.AccessQuery), "--metrics", o.Metrics,
	}
}

func (o *accessOptions) validate() error {
	switch {
	case o.AccessFormat != "json" && o.AccessFormat != "combined":
		return fmt.Errorf("--access-format: %q is neither json nor combined", o.AccessFormat)
	case o.AccessSample < 0 || o.AccessSample > 1000:
		return errors.New("--access-sample: a number of 1000, from 0 to 1000")
	case o.AccessLog != "" && o.AccessLog != "-" && o.AccessLog != node.AppLog && !filepath.IsAbs(o.AccessLog):
		return fmt.Errorf("--access-log: %q is no whole path; write one such as /var/log/slipway/access.log, or - or app", o.AccessLog)
	}
	if o.Metrics == "" {
		return nil
	}
	if _, port, err := net.SplitHostPort(o.Metrics); err != nil || !validPort(port) {
		return fmt.Errorf("--metrics: %q is not an address; write one such as 127.0.0.1:9180", o.Metrics)
	}
	return nil
}

func (o *accessOptions) log() access.LogOptions {
	opt := access.LogOptions{Path: o.AccessLog, Sample: o.AccessSample, Query: o.AccessQuery}
	if o.AccessFormat == "combined" {
		opt.Format = access.Combined
	}
	return opt
}
