package buildpack_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/porttest"
)

// running is the web process of an image, started as a node would.
type running struct {
	t    testing.TB
	base string
}

// serve pulls an image, starts its web process and waits until it listens.
func (s *street) serve(t testing.TB, result builder.Result) running {
	t.Helper()
	dir := s.pull(t, result.Image)
	port, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "slipway/launch"), result.Procfile["web"])
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "PORT=" + strconv.Itoa(port)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = testWriter{t}, testWriter{t}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return running{t, "http://" + address}
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", result.Procfile["web"])
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", result.Procfile["web"])
		}
	}
}

func (r running) answers(path string, status int, want string) {
	r.t.Helper()
	answer, err := http.Get(r.base + path)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status || !strings.Contains(string(body), want) {
		r.t.Errorf("%s: %s %q, %v; want %d %q", path, answer.Status, body, err, status, want)
	}
}

// pull unpacks an image and returns its root.
func (s *street) pull(t testing.TB, image string) string {
	t.Helper()
	ref, err := name.NewDigest(s.registry+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "slipway", Password: password}))
	if err != nil {
		t.Fatal(err)
	}
	layers := mutate.Extract(pulled)
	defer func() { _ = layers.Close() }()
	dir := t.TempDir()
	for archive := tar.NewReader(layers); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := place(filepath.Join(dir, header.Name), header, archive); err != nil {
			t.Fatal(err)
		}
	}
}

func place(path string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(path, 0o755)
	case tar.TypeSymlink:
		return os.Symlink(header.Linkname, path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

func TestRubyServesARackAppWithTheMachinesGems(t *testing.T) {
	needs(t, "ruby", "bundle", "rackup")
	s := open(t, nil)
	repository := example(t, "hello-ruby")
	result, out := s.build(t, repository, nil)
	contains(t, out, "-----> Ruby app detected", "Every gem of the Gemfile is among this machine's own", "Default process types for Ruby -> web")
	s.serve(t, result).answers("/there", 200, "Hello from Ruby, /there\n")
	if again, _ := s.build(t, repository, nil); again.Image != result.Image {
		t.Error("the same tree is another image")
	}
	s.clean(t)
}

// greetingGem is a gem of our own making, which no registry has.
func greetingGem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range map[string]string{
		"greeting.gemspec": "Gem::Specification.new { |s| s.name = 'greeting'; s.version = '1.0.0'; s.summary = 'x'; s.authors = ['x']; s.files = ['lib/greeting.rb'] }\n",
		"lib/greeting.rb":  "GREETING = 'from a vendored gem'\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "gem", "build", "--quiet", "--silent", "greeting.gemspec")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "greeting-1.0.0.gem"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestRubyInstallsVendoredGemsWithoutANetwork(t *testing.T) {
	needs(t, "ruby", "bundle", "gem")
	s := open(t, func(o *options) {
		o.Env = map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
	})
	files := map[string]string{
		"Gemfile":                         "source 'https://rubygems.org'\ngem 'greeting'\n",
		"hello.rb":                        "require 'greeting'\nputs GREETING\n",
		"Procfile":                        "web: bundle exec ruby hello.rb\n",
		"vendor/cache/greeting-1.0.0.gem": greetingGem(t),
	}
	result, out := s.build(t, commit(t, files), nil)
	contains(t, out, "Running: bundle install --local (from vendor/cache)")
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.pull(t, result.Image), "slipway/launch"), result.Procfile["web"])
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	if said, err := cmd.CombinedOutput(); err != nil || string(said) != "from a vendored gem\n" {
		t.Errorf("%q, %v", said, err)
	}
	_, out = s.build(t, commit(t, files), nil)
	contains(t, out, "Gems unchanged, restored from the cache")

	delete(files, "vendor/cache/greeting-1.0.0.gem")
	files["Gemfile"] = "source 'https://rubygems.org'\ngem 'no-such-gem-here'\n"
	_, out = s.fail(t, commit(t, files), nil)
	contains(t, out, "does not answer from this machine.", "bundle cache")
}

func TestRubySaysWhenNothingCouldServe(t *testing.T) {
	needs(t, "ruby", "bundle")
	_, out := open(t, nil).fail(t, commit(t, map[string]string{"Gemfile": "", "config.ru": "run 1"}), nil)
	contains(t, out, `config.ru needs rackup and a web server: add  gem "rackup"`)
}

func TestPHPServesItsIndexAndHidesWhatIsNotForVisitors(t *testing.T) {
	needs(t, "php")
	s := open(t, nil)
	result, out := s.build(t, example(t, "hello-php"), nil)
	contains(t, out, "-----> PHP app detected", "Default process types for PHP -> web")
	s.serve(t, result).answers("/", 200, "Hello from PHP, /\n")

	result, _ = s.build(t, commit(t, map[string]string{
		"index.php": "<?php echo 'front ', $_SERVER['REQUEST_URI'];", "about.php": "<?php echo 'about';", "a.css": "css",
		".env": "SECRET=1", "composer.json": "{}", "sub/.htaccess": "x", "vendor/x.txt": "x", ".well-known/x": "known",
	}), nil)
	site := s.serve(t, result)
	site.answers("/about.php", 200, "about")
	site.answers("/a.css", 200, "css")
	site.answers("/posts/1.json?x=1", 200, "front /posts/1.json?x=1")
	site.answers("/.well-known/x", 200, "known")
	for _, hidden := range []string{"/.env", "/composer.json", "/sub/.htaccess", "/vendor/x.txt", "/%2eenv", "//.env", "/Procfile", "/.slipway/guard.php", "/x/../.env"} {
		site.answers(hidden, 404, "404 Not Found")
	}
}

func TestPHPServesItsPublicDirectory(t *testing.T) {
	needs(t, "php", "composer")
	s := open(t, nil)
	result, out := s.build(t, commit(t, map[string]string{
		"public/index.php": "<?php require '../vendor/autoload.php'; echo Greeting::TEXT;",
		"src/Greeting.php": "<?php class Greeting { const TEXT = 'autoloaded'; }",
		"composer.json":    `{"autoload": {"classmap": ["src/"]}}`,
	}), nil)
	contains(t, out, "Running: composer install")
	site := s.serve(t, result)
	site.answers("/", 200, "autoloaded")
	site.answers("/vendor/anything", 200, "autoloaded")
}

func TestPHPSaysWhatIsMissing(t *testing.T) {
	needs(t, "php", "composer")
	s := open(t, func(o *options) {
		o.Env = map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
	})
	for text, want := range map[string]string{
		`{"require": {"ext-nonsense": "*"}}`:          "apt-get install php-nonsense",
		`{"require": {"no-such/package-here": "^1"}}`: "does not answer from this machine.",
		`{`: "composer.json is not valid JSON",
	} {
		_, out := s.fail(t, commit(t, map[string]string{"composer.json": text, "index.php": ""}), nil)
		contains(t, out, want)
	}
}

func TestPerlServesAPSGIApp(t *testing.T) {
	needs(t, "/usr/bin/perl", "plackup")
	s := open(t, nil)
	result, out := s.build(t, commit(t, map[string]string{
		"app.psgi":        "use lib 'lib'; use Greeting; sub { [200, ['Content-Type' => 'text/plain'], [$Greeting::TEXT]] };\n",
		"cpanfile":        "requires 'perl', '5.010';\nrequires 'Plack', '>= 1.0';\non test => sub { requires 'No::Such::Module' };\n",
		"lib/Greeting.pm": "package Greeting; our $TEXT = 'Hello from Perl'; 1;\n",
	}), nil)
	contains(t, out, "-----> Perl app detected", "Every module of the cpanfile is here", "Default process types for Perl -> web")
	s.serve(t, result).answers("/", 200, "Hello from Perl")
}

func TestPerlNamesWhatIsMissing(t *testing.T) {
	needs(t, "/usr/bin/perl")
	s := open(t, func(o *options) {
		o.Env = map[string]string{"PERL_CPANM_OPT": "--mirror http://127.0.0.1:1 --mirror-only"}
	})
	_, out := s.fail(t, commit(t, map[string]string{"cpanfile": "requires 'No::Such::Module', '2';", "Procfile": "web: perl x.pl\n"}), nil)
	contains(t, out, "No::Such::Module: apt-get install libno-such-module-perl")
}

// jar makes an archive that serves HTTP, and returns its content.
func jar(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := `import com.sun.net.httpserver.HttpServer;
public class Main {
  public static void main(String[] a) throws Exception {
    HttpServer s = HttpServer.create(new java.net.InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 0);
    s.createContext("/", x -> { byte[] b = "Hello from Java".getBytes(); x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
    s.start();
  }
}`
	if err := os.WriteFile(filepath.Join(dir, "Main.java"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"javac Main.java", "jar --create --file app.jar --main-class Main -C . ."} {
		words := strings.Fields(line)
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, "app.jar"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAFinishedJarIsStarted(t *testing.T) {
	needs(t, "java", "javac", "jar")
	s := open(t, nil)
	result, out := s.build(t, commit(t, map[string]string{"it's an app.jar": jar(t)}), nil)
	contains(t, out, "-----> Java archive app detected")
	s.serve(t, result).answers("/", 200, "Hello from Java")
}

func TestMavenSaysWhenItsRepositoryDoesNotAnswer(t *testing.T) {
	needs(t, "mvn", "javac")
	s := open(t, nil)
	_, out := s.fail(t, commit(t, map[string]string{
		"pom.xml":      "<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version></project>",
		"settings.xml": "<settings><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf><url>http://127.0.0.1:1/</url></mirror></mirrors></settings>",
	}), nil)
	contains(t, out, "-----> Java app detected", "Running: mvn -DskipTests clean package", "does not answer from this machine.")
}

func TestADebuggedBuildShowsItsCommandsAndNoSecret(t *testing.T) {
	s := open(t, nil)
	pack := commit(t, map[string]string{
		"bin/detect":  "#!/bin/bash\necho Traced\n",
		"bin/compile": "#!/bin/bash\nset -eu\nexport TOKEN=$(cat $3/TOKEN)\nsaid=$(: inside 2>&1)\necho \"said <$said>\"\nbash -c 'echo \"${NOPE-}ok\"; false; echo went on'\n",
		"bin/release": "#!/bin/bash\necho 'default_process_types: {web: x}'\n",
	})
	env := map[string]string{"BUILDPACK_URL": "file://" + pack, "TOKEN": "it's a secret"}
	repository := commit(t, map[string]string{"app.txt": "x"})
	_, quiet := s.build(t, repository, env)
	env["DEIS_BUILDPACK_DEBUG"] = "true"
	_, out := s.build(t, repository, env)
	contains(t, out, "++ cat /tmp/in/env/TOKEN\n", "+ hook bin/pre-compile\n", "said <>\n", "       ok\n       + false\n", "went on\n")
	if strings.Contains(quiet, "+ ") || strings.Contains(out, "a secret") {
		t.Errorf("%s\n%s", quiet, out)
	}
}

func TestTheContractsOrderDecidesBetweenBuildpacks(t *testing.T) {
	needs(t, "node", "npm", "php", "/usr/bin/perl")
	s := open(t, nil)
	all := map[string]string{"package.json": `{"scripts": {"start": "x"}}`, "index.php": "", "app.psgi": "", "index.html": "x", "Procfile": "web: x\n"}
	for _, step := range []struct{ file, detected string }{
		{"package.json", "Node.js"}, {"index.php", "PHP"}, {"app.psgi", "Perl"}, {"index.html", "Static site"}, {"Procfile", "Procfile"},
	} {
		files := maps.Clone(all)
		result, _ := s.build(t, commit(t, files), nil)
		if result.Detected != step.detected {
			t.Errorf("%v: %s", slices.Sorted(maps.Keys(files)), result.Detected)
		}
		delete(all, step.file)
	}
}
