// Package cnbtest makes builder and run images for tests: the root file system
// of stacktest with the lifecycle's launcher and one buildpack of shell
// scripts, which does what the tree it finds tells it.
package cnbtest

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/stacktest"
)

// detect is for trees with app.sh and runs their detect.sh.
const detect = `#!/bin/sh
[ -f app.sh ] || exit 100
[ ! -f detect.sh ] || . ./detect.sh
`

// build runs the tree's build.sh, makes a layer once, and declares two types.
const build = `#!/bin/sh
set -e
layers=$CNB_LAYERS_DIR
[ ! -f build.sh ] || . ./build.sh
if [ -d $layers/runtime/bin ]; then
	echo "runtime: from the cache"
else
	echo "runtime: made anew"
	mkdir -p $layers/runtime/bin
	printf '#!/bin/sh\necho "runtime $*"\n' > $layers/runtime/bin/greet
	chmod +x $layers/runtime/bin/greet
fi
printf '[types]\nlaunch = true\nbuild = true\ncache = true\n[metadata]\nversion = "1"\n' > $layers/runtime.toml
cat > $layers/launch.toml <<'END'
[[processes]]
type = "web"
command = ["sh", "app.sh"]
default = true
[[processes]]
type = "worker"
command = ["greet"]
args = ["from the worker"]
END
`

// Files of the builder image, but for the launcher and run.toml.
var files = map[string]string{
	"cnb/order.toml":                               "[[order]]\n[[order.group]]\nid = \"test/shell\"\nversion = \"1.0\"\n",
	"cnb/lifecycle/lifecycle.toml":                 "[apis.platform]\nsupported = [\"0.7\", \"0.12\", \"0.13\", \"0.14\"]\n",
	"cnb/buildpacks/test_shell/1.0/buildpack.toml": "api = \"0.10\"\n[buildpack]\nid = \"test/shell\"\nversion = \"1.0\"\nname = \"Shell\"\n",
	"cnb/buildpacks/test_shell/1.0/bin/detect":     detect,
	"cnb/buildpacks/test_shell/1.0/bin/build":      build,
	"etc/passwd": "root:x:0:0:root:/root:/bin/sh\ncnb:x:1001:1000::/home/cnb:/bin/sh\n",
}

// Builder is a builder image whose run image is called run; a nil change
// leaves it whole, else change may take its files away or add to them.
func Builder(t testing.TB, run string, change func(files map[string]string)) v1.Image {
	t.Helper()
	all := map[string]string{"cnb/run.toml": "[[images]]\nimage = \"" + run + "\"\n", "cnb/lifecycle/launcher": launcher(t)}
	maps.Copy(all, files)
	if change != nil {
		change(all)
	}
	return configured(t, appended(t, stacktest.Image(t), all), "CNB_USER_ID=1001", "CNB_GROUP_ID=1000")
}

// Run is a run image, different for each version.
func Run(t testing.TB, version string) v1.Image {
	t.Helper()
	return configured(t, appended(t, stacktest.Image(t), map[string]string{"etc/run-image": version + "\n"}))
}

func configured(t testing.TB, image v1.Image, env ...string) v1.Image {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.Config.Env = append(file.Config.Env, env...)
	file.Config.User = "1001:1000"
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	return image
}

// appended is an image with a layer of files. Scripts are executable, and so
// is the launcher.
func appended(t testing.TB, image v1.Image, all map[string]string) v1.Image {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for path, content := range all {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content))}
		if strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") {
			header.Mode = 0o755
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	return image
}

// launcher is the lifecycle's, built from the module this program has.
func launcher(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "launcher")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/buildpacks/lifecycle/cmd/launcher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the launcher: %v\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
