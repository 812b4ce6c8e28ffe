package sbom

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzFilesOfStrangers reads any bytes as every kind of file there is.
func FuzzFilesOfStrangers(f *testing.F) {
	names := []string{
		"var/lib/dpkg/status", "lib/apk/db/installed", "a/package-lock.json", "node_modules/a/package.json", "a.dist-info/METADATA",
		"Gemfile.lock", "composer.lock", "a.jar", "etc/os-release", "bin/program",
	}
	for _, text := range []string{
		"Package: a\nVersion: 1\n\n", "P:a\nV:1\n", `{"packages":{"node_modules/a":{"version":"1"}}}`, `{"dependencies":{"a":{"version":"1","dependencies":{"b":{}}}}}`,
		`{"name":"@a/b","version":"1"}`, "Name: a\nVersion: 1\n\n", "    a (1)\n", `{"packages":[{"name":"a/b","version":"v1"}]}`, "PK\x05\x06" + string(make([]byte, 18)), "\x7fELF\x02\x01\x01",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &contents{seen: make(map[component]bool), scratch: t.TempDir()}
		for _, name := range names {
			size := int64(len(text))
			if name == "bin/program" {
				size = 1 << 20 // so that it is looked at
			}
			c.file(name, &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: size}, bytes.NewReader(text))
		}
		document, err := c.document("blog@sha256:0")
		if err != nil || !json.Valid(document) {
			t.Errorf("%v: %s", err, document)
		}
	})
}
