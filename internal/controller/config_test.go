package controller_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// texts is a patch that sets what the pairs say.
func texts(pairs ...string) map[string]*string {
	patch := make(map[string]*string)
	for i := 0; i < len(pairs); i += 2 {
		patch[pairs[i]] = &pairs[i+1]
	}
	return patch
}

func removing(key string) map[string]*string { return map[string]*string{key: nil} }

func TestAChangeOfConfigIsWordedInTheLedger(t *testing.T) {
	p := open(t, controller.Options{NodeTags: map[string]string{"environ": "dev", "disk": "ssd"}})
	bob := p.user("bob")
	p.app(bob, "blog")
	set := func(patch controller.ConfigPatch) platform.Config {
		t.Helper()
		return must(p.SetConfig(t.Context(), bob, "blog", patch))(t)
	}
	set(controller.ConfigPatch{
		Values: texts("PORT", "5000", "SECRET", "hunter2"), Memory: texts("web", "64M"), CPU: texts("web", "1"),
		Tags: texts("environ", "dev", "disk", "ssd"), Registry: texts("Username", "bob", "PASSWORD", "hunter3"),
		Grace: texts("web", "5"), PostStart: texts("web", "./warm --token hunter4"), PreStop: texts("web", "./leave"),
		Healthchecks: platform.HealthPatch{"web/cmd": {platform.ProbeReadiness: {TCPSocket: &platform.TCPSocket{}}}},
	})
	config := set(controller.ConfigPatch{
		Values: texts("SECRET", "hunter5"), Tags: removing("disk"), Registry: removing("USERNAME"), PreStop: removing("web"),
		Healthchecks: platform.HealthPatch{"web/cmd": nil},
	})
	if len(config.Registry) != 1 || config.Registry["password"] != "hunter3" || config.PostStart["web"] == "" || len(config.PreStop) != 0 {
		t.Errorf("the config is %+v", config)
	}
	want := []string{
		"v2 succeeded bob added PORT, SECRET and bob changed limits for memory, cpu and bob added tag disk, environ" +
			" and bob added registry info password, username and bob added healthcheck info for proc type web/cmd" +
			" and bob changed timeouts for termination_grace_period and bob changed lifecycle hooks for lifecycle_post_start, lifecycle_pre_stop",
		"v3 succeeded bob changed SECRET and bob deleted tag disk and bob deleted registry info username" +
			" and bob deleted healthcheck info for proc type web/cmd and bob changed lifecycle hooks for lifecycle_pre_stop",
	}
	if got := p.summaries("blog")[1:]; !slices.Equal(got, want) {
		t.Errorf("the ledger is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	events := p.eventsOf("blog")
	if all := strings.Join(events, "\n"); strings.Contains(all, "hunter") {
		t.Errorf("an event holds a value:\n%s", all)
	}
	if want := "config.changed bob healthcheck=web/cmd lifecycle_pre_stop=web registry=username tags=disk values=SECRET"; !slices.Contains(events, want) {
		t.Errorf("events: %q", events)
	}
}

func TestAConfigThatCannotBeIsRefusedWithoutARelease(t *testing.T) {
	p := open(t, controller.Options{NodeTags: map[string]string{"environ": "dev", "no": "yes"}})
	bob := p.user("bob")
	p.app(bob, "blog")
	if _, err := p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Values: texts("A", "1"), Tags: texts("environ", "dev")}); err != nil {
		t.Fatal(err)
	}
	p.app(bob, "bare")
	for name, test := range map[string]struct {
		app   string
		patch controller.ConfigPatch
		kind  error
		words string
	}{
		"nothing":               {"blog", controller.ConfigPatch{}, platform.ErrConflict, "bob changed nothing - release stopped"},
		"what is so":            {"blog", controller.ConfigPatch{Values: texts("A", "1")}, platform.ErrConflict, "bob changed nothing - release stopped"},
		"a ghost value":         {"blog", controller.ConfigPatch{Values: removing("B")}, platform.ErrUnprocessable, "B does not exist under values"},
		"a ghost tag":           {"blog", controller.ConfigPatch{Tags: removing("B")}, platform.ErrUnprocessable, "B does not exist under tags"},
		"a ghost login":         {"blog", controller.ConfigPatch{Registry: removing("USERNAME")}, platform.ErrUnprocessable, "username does not exist under registry"},
		"a ghost hook":          {"blog", controller.ConfigPatch{PostStart: removing("web")}, platform.ErrUnprocessable, "web does not exist under lifecycle_post_start"},
		"a registry, no port":   {"blog", controller.ConfigPatch{Registry: texts("username", "bob")}, platform.ErrInvalid, "PORT needs to be set in the config when using a private registry"},
		"no node at all":        {"bare", controller.ConfigPatch{Tags: texts("no", "match")}, platform.ErrInvalid, "No nodes matched the provided labels: no=match"},
		"no node with one more": {"blog", controller.ConfigPatch{Tags: texts("no", "match")}, platform.ErrInvalid, "No nodes matched the provided labels: environ=dev, no=match - Addition of no=match is the cause"},
		"a tag's key":           {"blog", controller.ConfigPatch{Tags: texts("a b", "x")}, platform.ErrInvalid, `tags: Tag keys must be alphanumeric or "-_.", and 1-63 characters.`},
		"a tag's value":         {"blog", controller.ConfigPatch{Tags: texts("a", "-x")}, platform.ErrInvalid, `tags: Tag values must be alphanumeric or "-_.", and 1-63 characters.`},
		"a tag's prefix":        {"blog", controller.ConfigPatch{Tags: texts("a_/b", "x")}, platform.ErrInvalid, "tags: Tag key prefixes must be DNS subdomains."},
		"a tag's long prefix":   {"blog", controller.ConfigPatch{Tags: texts(strings.Repeat("a", 254)+"/b", "x")}, platform.ErrInvalid, "tags: Tag key prefixes must 253 characters or less."},
		"a registry's key":      {"blog", controller.ConfigPatch{Registry: texts("1", "x")}, platform.ErrInvalid, "registry: Config keys must start with a letter or underscore and only contain [A-z0-9_]"},
		"a hook of nothing":     {"blog", controller.ConfigPatch{PreStop: texts("Web", "x")}, platform.ErrInvalid, "lifecycle_pre_stop: Process types can only contain lowercase alphanumeric characters"},
		"a hook too long":       {"blog", controller.ConfigPatch{PostStart: texts("web", strings.Repeat("x", 4097))}, platform.ErrInvalid, "lifecycle_post_start: The command of web is longer than 4096 bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.SetConfig(t.Context(), bob, test.app, test.patch)
			says(t, err, test.kind, test.words)
		})
	}
	if got := p.summaries("blog"); len(got) != 2 {
		t.Errorf("the ledger is %q", got)
	}
}

func TestAnAppWithoutTagsHasThePlatforms(t *testing.T) {
	p := open(t, controller.Options{DefaultTags: map[string]string{"kubernetes.io/os": runtime.GOOS}})
	bob := p.user("bob")
	p.app(bob, "blog")
	config := must(p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Values: texts("A", "1")}))(t)
	if config.Tags["kubernetes.io/os"] != runtime.GOOS {
		t.Errorf("the tags are %v", config.Tags)
	}
	config = must(p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Tags: texts("kubernetes.io/arch", runtime.GOARCH)}))(t)
	config = must(p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Tags: removing("kubernetes.io/os")}))(t)
	if len(config.Tags) != 1 || config.Tags["kubernetes.io/arch"] != runtime.GOARCH {
		t.Errorf("beside its own tags the app has the platform's: %v", config.Tags)
	}
}

func TestAConfigGrowsOnlySoFar(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	big := strings.Repeat("x", platform.MaxConfigValue)
	set := func(name string, value *string) error {
		_, err := p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Values: map[string]*string{name: value}})
		return err
	}
	for _, name := range []string{"A", "B", "C"} {
		if err := set(name, &big); err != nil {
			t.Fatal(err)
		}
	}
	if err := set("D", &big); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("more than there is room for: %v", err)
	}
	if err := set("C", nil); err != nil {
		t.Errorf("less: %v", err)
	}
	if err := set("D", &big); err != nil {
		t.Errorf("as much as before: %v", err)
	}
}
