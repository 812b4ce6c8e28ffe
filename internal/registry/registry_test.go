package registry_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/registry"
)

func TestTheDirectoryIsPrivate(t *testing.T) {
	w := newWorld(t)
	if info, err := os.Stat(w.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestNewNamesWhatIsWrongWithItsOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]registry.Options{
		"relative directory": {Dir: "x", User: "u", Password: password},
		"no user":            {Dir: t.TempDir(), Password: password},
		"weak password":      {Dir: t.TempDir(), User: "u", Password: "1234"},
		"a file":             {Dir: file, User: "u", Password: password},
		"a negative grace":   {Dir: t.TempDir(), User: "u", Password: password, Grace: -1},
	} {
		if _, err := registry.New(slog.New(slog.DiscardHandler), o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), o.Password) {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}
