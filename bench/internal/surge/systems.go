package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// system is a proxy as it is set up. Its command serves on an address and leads
// to the app.
type system struct {
	key, name string
	command   func(ctx context.Context, b *bench, listen, app string) *exec.Cmd
}

var systems = []system{
	{"off", "slipway, overload off", ours("off", 0)},
	{"told", "slipway, on, limit 8", ours("on", workers)},
	{"found", "slipway, on, limit found out", ours("on", 0)},
	{"nginx", "nginx", nginx("")},
	{"nginxlimit", "nginx, limit_conn 8", nginx("limit_conn app 8;")},
	{"haproxy1s", "haproxy, maxconn 8, queue 1 s", haproxy("1s")},
	{"haproxy100", "haproxy, maxconn 8, queue 100 ms", haproxy("100ms")},
}

func ours(mode string, limit int) func(context.Context, *bench, string, string) *exec.Cmd {
	return func(ctx context.Context, _ *bench, listen, app string) *exec.Cmd {
		return exec.CommandContext(ctx, os.Args[0], "router", "-listen", listen, "-app", app, "-mode", mode, "-limit", fmt.Sprint(limit))
	}
}

func serveRouter(args []string) error {
	flags := flag.NewFlagSet("router", flag.ContinueOnError)
	listen, app := flags.String("listen", "", "address"), flags.String("app", "", "address")
	mode, limit := flags.String("mode", "", "of overload"), flags.Int("limit", 0, "of overload")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	r := router.New(slog.New(slog.DiscardHandler), router.Options{})
	var classes []platform.OverloadClass
	for _, class := range classNames {
		classes = append(classes, platform.OverloadClass{Class: class, Header: "X-Class", Value: class})
	}
	r.SetRoute("app", &platform.Route{
		App: "app", Hosts: []string{"app.localhost"}, Release: 1,
		Backends: []platform.Backend{{Instance: "one", Address: *app}},
		Edge: platform.Edge{Overload: platform.Overload{
			Mode: platform.OverloadMode(*mode), Limit: *limit, User: "cookie:user", Classes: classes,
		}},
	})
	return r.Serve(ln)
}

func nginx(limit string) func(context.Context, *bench, string, string) *exec.Cmd {
	return func(ctx context.Context, b *bench, listen, app string) *exec.Cmd {
		conf := b.write("nginx.conf", fmt.Sprintf(`daemon off; master_process off; worker_processes 1;
error_log /dev/null; pid %[1]s/nginx.pid;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  limit_conn_zone $server_name zone=app:1m;
  upstream app { server %[3]s; keepalive 256; }
  server { listen %[2]s backlog=4096; server_name app;
    location / { %[4]s proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://app; } }
}
`, b.dir, listen, app, limit))
		return exec.CommandContext(ctx, "nginx", "-p", b.dir, "-c", conf)
	}
}

func haproxy(queue string) func(context.Context, *bench, string, string) *exec.Cmd {
	return func(ctx context.Context, b *bench, listen, app string) *exec.Cmd {
		conf := b.write("haproxy.cfg", fmt.Sprintf(`global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 2s
  timeout queue %s
frontend f
  bind %s backlog 4096
  default_backend b
backend b
  server app %s maxconn %d
`, queue, listen, app, workers))
		return exec.CommandContext(ctx, "haproxy", "-f", conf, "-db")
	}
}

func (b *bench) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // our own temporary directory
	}
	return path
}
