package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAWhitelistEntryIsReadAsTheNetworkThatItMeans(t *testing.T) {
	for entry, want := range map[string]string{
		"1.2.3.4": "1.2.3.4/32", "10.0.0.5/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0", "1.2.3.4/32": "1.2.3.4/32",
		"10.0.0.5/255.0.0.0": "10.0.0.0/8", "10.0.0.5/0.255.255.255": "10.0.0.0/8", "1.2.3.4/255.255.255.255": "1.2.3.4/32", "1.2.3.4/0.0.0.0": "0.0.0.0/0",
		"2001:db8::1": "2001:db8::1/128", "2001:db8::1/32": "2001:db8::/32", "::/0": "::/0",
		"::ffff:1.2.3.4": "1.2.3.4/32", "::ffff:10.0.0.5/104": "10.0.0.0/8",
	} {
		if got, ok := platform.ParseNetwork(entry); !ok || got.String() != want {
			t.Errorf("%s is read as %s, %t; want %s", entry, got, ok, want)
		}
	}
	for _, entry := range []string{
		"", "bogus", "1.2.3", "1.2.3.4.5", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+8", "1.2.3.4/", "1.2.3.4/8/8", "1.2.3.4/255.0.255.0",
		"01.2.3.4", "fe80::1%eth0", "2001:db8::/129", "2001:db8::/255.0.0.0", " 1.2.3.4", "1.2.3.4/" + strings.Repeat("0", 50) + "8",
	} {
		if got, ok := platform.ParseNetwork(entry); ok {
			t.Errorf("%q is read as %s", entry, got)
		}
	}
}

func TestAWhitelistThatCannotBeReadLetsNobodyIn(t *testing.T) {
	if got := allowed([]string{"bogus", "worse"}); len(got) != 1 || netip.MustParsePrefix(got[0]).Contains(netip.MustParseAddr("1.2.3.4")) {
		t.Errorf("allowed are %q", got)
	}
	if got := allowed([]string{"bogus", "10.0.0.5/8", "10.0.0.6/8"}); !slices.Equal(got, []string{"10.0.0.0/8"}) {
		t.Errorf("allowed are %q", got)
	}
	if got := allowed(nil); len(got) != 0 {
		t.Errorf("without a whitelist, allowed are %q", got)
	}
}

func FuzzAWhitelistEntryThatIsAcceptedHoldsItsAddress(f *testing.F) {
	for _, seed := range []string{"1.2.3.4", "10.0.0.5/8", "10.0.0.5/255.0.0.0", "2001:db8::/32", "::ffff:1.2.3.4/100"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		prefix, ok := platform.ParseNetwork(entry)
		if !ok {
			return
		}
		text, _, _ := strings.Cut(entry, "/")
		address := netip.MustParseAddr(text)
		if !prefix.IsValid() || prefix != prefix.Masked() || !prefix.Contains(address) && !prefix.Contains(address.Unmap()) {
			t.Errorf("%q became %s", entry, prefix)
		}
	})
}

func TestPathsAreTriedInTheOrderOfNginx(t *testing.T) {
	services := []platform.Service{ // newest first
		{Process: "new", Pattern: "/a,~* ^/HOOK,= /exact"},
		{Process: "old", Pattern: "/a/longer,~ hook$,^/users,^~ /static"},
		{Process: "off", Pattern: "/off"},
	}
	var got []string
	for _, route := range pathRoutes(services, func(process string) bool { return process != "off" }) {
		got = append(got, fmt.Sprint(route.Process, route.Patterns))
	}
	want := []string{"new[= /exact]", "old[^~ /static]", "new[~* ^/HOOK]", "old[~ hook$ ~ ^/users /a/longer]", "new[/a]"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzServicesNeverPanicAndReadAsTheyAreWritten(f *testing.F) {
	for _, seed := range []string{"~ ^/users/[0-9]+/hook,/notify", "= /x", "~*a", "^/b", "^~ /c", ",", "~ (x{1000}){1000}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		paths, err := patterns(text)
		if err != nil {
			return
		}
		for _, p := range paths {
			again, ok := platform.ParsePath(p.String())
			if !ok || again != p || rank(p) < 0 {
				t.Errorf("%q is written %q and then read as %+v, %t", p, p.String(), again, ok)
			}
		}
	})
}

func TestWebAnswersWhereThereIsOneAndCmdUntilItIsUp(t *testing.T) {
	instance := func(id, process string, state platform.InstanceState) platform.Instance {
		return platform.Instance{ID: id, Process: process, Release: 2, Node: "local", Address: "127.0.0.1:1", State: state}
	}
	cmd, web := instance("c", "cmd", platform.InstanceUp), instance("w", "web", platform.InstanceUp)
	starting, crashed := instance("w", "web", platform.InstanceStarting), instance("w", "web", platform.InstanceCrashed)
	routed := &platform.Route{Backends: []platform.Backend{{Instance: "w"}}}
	for name, test := range map[string]struct {
		instances []platform.Instance
		now       *platform.Route
		want      string
	}{
		"cmd alone":                   {[]platform.Instance{cmd}, new(platform.Route), "c"},
		"the first web starts":        {[]platform.Instance{cmd, starting}, new(platform.Route), "c"},
		"web is up":                   {[]platform.Instance{cmd, web}, new(platform.Route), "w"},
		"web crashed":                 {[]platform.Instance{cmd, crashed}, routed, "w"},
		"web alone, and starts":       {[]platform.Instance{starting}, new(platform.Route), "w"},
		"web is on its way out":       {[]platform.Instance{cmd, instance("w", "web", platform.InstanceTerminating)}, routed, "c"},
		"web of another release runs": {[]platform.Instance{cmd, {ID: "x", Process: "web", Release: 1, State: platform.InstanceUp}}, routed, "c"},
	} {
		got := backends(test.instances, 2, nil, nil, test.now)
		if len(got) != 1 || got[0].Instance != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
}

func TestWhatServesPathsIsListedUnderItsNameOnceItHasAnAddress(t *testing.T) {
	got := backends([]platform.Instance{
		{ID: "a", Release: 2, Process: "hooks", Node: "local", Address: "127.0.0.1:1", State: platform.InstanceStarting},
		{ID: "b", Release: 2, Process: "hooks", Node: "local", State: platform.InstanceUp}, // from before its service
		{ID: "c", Release: 2, Process: "worker", Node: "local", Address: "127.0.0.1:2", State: platform.InstanceUp},
		{ID: "d", Release: 2, Process: "hooks", Address: "10.0.0.1:80", State: platform.InstanceUp},
	}, 2, map[string]bool{"hooks": true}, nil, new(platform.Route))
	want := []platform.Backend{{Instance: "a", Process: "hooks"}, {Instance: "d", Process: "hooks", Address: "10.0.0.1:80"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOnlyTheProgramOfACommandLineIsTold(t *testing.T) {
	for command, want := range map[string]string{
		"curl -u bob:secret": "curl", "  id": "id", "TOKEN=secret ./x": "TOKEN", "": "", strings.Repeat("x", 99): strings.Repeat("x", 64),
	} {
		if got := program(command); got != want {
			t.Errorf("of %q %q is told, want %q", command, got, want)
		}
	}
}
