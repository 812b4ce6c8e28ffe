package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-paas/slipway/internal/router"
	"github.com/spf13/pflag"
)

func TestWhatClientsMayDoReachesTheRouter(t *testing.T) {
	o := filled(t, "", "--proxy-protocol", "10.0.0.0/8,::1", "--max-head", "8", "--max-target", "2", "--slow-grace", "5s", "--max-connections", "12")
	again := filled(t, "", o.clients.arguments()...) // as the node gets it
	var r router.Options
	again.clients.fill(&r)
	if got := fmt.Sprint(r.ProxyNetworks, r.MaxHeaderBytes, r.MaxTarget, r.RateGrace, r.MaxConnections, r.MinRate, r.IdleTimeout); got != "[10.0.0.0/8 ::1/128] 8192 2048 5s 12 240 1m15s" {
		t.Errorf("got %s", got)
	}
}

func TestALimitOfClientsThatMakesNoSenseIsNamed(t *testing.T) {
	for _, args := range [][]string{
		{"--max-connections", "0"},
		{"--max-head", "1"},
		{"--max-target", "100"},
		{"--max-fields", "5"},
		{"--min-rate", "0"},
		{"--head-timeout", "10ms"},
		{"--client-idle", "0s"},
		{"--slow-grace", "-1s"},
		{"--proxy-protocol", "balancer"},
	} {
		var o clientOptions
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.flags(flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), args[0]+": ") {
			t.Errorf("%v: got %v", args, err)
		}
	}
}

func TestClientsLeaveDescriptorsForInstances(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur > 10_000_000 {
		t.Skip("this process may open any number of files")
	}
	for _, most := range []int{7, 10_000_000} {
		var r router.Options
		(&clientOptions{MaxConnections: most}).fill(&r)
		if want := min(most, int(limit.Cur)*3/5); r.MaxConnections != want {
			t.Errorf("of %d clients there may be %d, with %d files", most, r.MaxConnections, limit.Cur)
		}
	}
}
