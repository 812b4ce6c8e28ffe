package buildpack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzIgnorePatternsHoldWhatTheySay(f *testing.F) {
	for _, seed := range []string{"*.log", "/tmp/", "**/x", "a**b", "[", "\\", "*?*", "!x", "./a", "//", "/", "\xff", "a/b/"} {
		f.Add(seed, "a/b.log")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ".slugignore"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		patterns, err := readIgnore(dir)
		if err != nil && len(text) <= maxSmall {
			t.Errorf("%q: %v", text, err)
		}
		file, directory := patterns.matches(path, false), patterns.matches(path, true)
		if file && !directory {
			t.Errorf("%q takes the file %q and not the directory", text, path)
		}
		// A line without anything special takes exactly what it names.
		if line := strings.TrimSpace(text); line != "" && line == path && !strings.ContainsAny(line, "*?#/\n\r") && line != "." && !file {
			t.Errorf("%q does not take itself", line)
		}
	})
}
