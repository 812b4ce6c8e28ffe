package builder_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAProcfileMapsTypesToCommands(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"web: python3 app.py":                             {"web": "python3 app.py"},
		"# comment\n\nweb:  a b \r\nworker: c # d\n":      {"web": "a b", "worker": "c # d"},
		"\ufeff---\nweb: a\n":                             {"web": "a"},
		"web: echo a: b":                                  {"web": "echo a: b"},
		"web: bundle exec puma -b tcp://0.0.0.0:$PORT":    {"web": "bundle exec puma -b tcp://0.0.0.0:$PORT"},
		"web: \"quoted: $PORT\"":                          {"web": "quoted: $PORT"},
		"web: \"$HOME/bin/x\" --port $PORT":               {"web": "\"$HOME/bin/x\" --port $PORT"},
		"web: >\n  python3\n  app.py\nrelease: ./migrate": {"web": "python3 app.py", "release": "./migrate"},
		"{web: a, worker-2: b}":                           {"web": "a", "worker-2": "b"},
		"1: 2":                                            {"1": "2"},
	} {
		got, err := builder.ParseProcfile("blog", []byte(text))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestABrokenProcfileNamesTheLineAndTheCure(t *testing.T) {
	for text, want := range map[string]string{
		"web python app.py":                   `line 1: "web python app.py" has no colon after a process type`,
		"web: a\nworker:b":                    `line 2: "worker:b" needs a space after the colon`,
		"web: a\n  b: c":                      `line 2: "  b: c" is indented`,
		"web: a\nweb: b":                      "line 2: process type web stands on line 1 already",
		"web:":                                "line 1: Command can't be empty for process type web",
		"web: ~":                              "",
		"Web: a":                              "Process types can only contain lowercase alphanumeric characters",
		"my_worker: a":                        "Process types can only contain lowercase alphanumeric characters",
		"":                                    "it declares no process type",
		"# nothing":                           "it declares no process type",
		"- web":                               "line 1:",
		"web: [a, b]":                         "",
		"web: {a: b}":                         "",
		"\x00":                                "NUL",
		"web: " + strings.Repeat("x", 70_000): "it is larger than 64 KiB",
		strings.Repeat("a: &a b\n", 1) + "b: *a\nc: *d": "",
	} {
		got, err := builder.ParseProcfile("blog", []byte(text))
		if want == "" {
			continue // either answer is sane: it must only not panic
		}
		var user *platform.UserError
		if !errors.As(err, &user) || !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%.40q: %v, %v", text, got, err)
			continue
		}
		if !strings.HasPrefix(user.Message, "procfile blog/Procfile is malformed (") || !strings.Contains(user.Message, want) || !strings.Contains(user.Cure, "web: python3 app.py") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestAProcfileThatIsNoFileIsRefusedWithoutWaiting(t *testing.T) {
	dir := t.TempDir()
	if types, err := builder.ReadProcfile(dir, "blog"); types != nil || err != nil {
		t.Errorf("a missing one: %v, %v", types, err)
	}
	path := filepath.Join(dir, "Procfile")
	for name, make := range map[string]func() error{
		"a pipe":           func() error { return syscall.Mkfifo(path, 0o600) },
		"a directory":      func() error { return os.Mkdir(path, 0o700) },
		"a link that ends": func() error { return os.Symlink("/etc/hostname", path) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if types, err := builder.ReadProcfile(dir, "blog"); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, types, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzProcfilesNeverPanic(f *testing.F) {
	for _, seed := range []string{"web: a", "web: \"a\" b", "- x", "a: &x b\nc: *x", "\t:", "web: |\n  a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		types, err := builder.ParseProcfile("blog", text)
		if err == nil && len(types) == 0 {
			t.Error("neither types nor an error")
		}
		for process, command := range types {
			if !platform.ValidProcessType(process) || command == "" {
				t.Errorf("%q: %q", process, command)
			}
		}
	})
}
