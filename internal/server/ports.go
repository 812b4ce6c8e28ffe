package server

import (
	"encoding/json"
	"strconv"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listPorts(c *call) (answer, error) {
	ports, err := s.desk.Ports(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	body := api.Ports{Ports: make([]api.Port, 0, len(ports))}
	for _, one := range ports {
		body.Ports = append(body.Ports, wirePort(one))
	}
	return ok(body)
}

func wirePort(p platform.Port) api.Port {
	return api.Port{Listen: p.Listen, ProcfileType: p.Process, Port: p.Port, Proxy: p.Proxy}
}

func (s *server) addPort(c *call) (answer, error) {
	f := c.body
	wish := controller.NewPort{Process: f.process()}
	if !f.has("port") {
		f.reject("port", isRequired)
	}
	wish.Port, wish.Listen, wish.Proxy = f.number("port"), f.number("listen"), f.number("proxy")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	port, err := s.desk.AddPort(c.ctx(), c.caller, c.app(), wish)
	if err != nil {
		return answer{}, err
	}
	return created(wirePort(port))
}

// number reads a whole number, 0 when the field is absent.
func (f *fields) number(name string) (n int) {
	if f.has(name) && (null(f.raw[name]) || json.Unmarshal(f.raw[name], &n) != nil) {
		f.reject(name, "A valid integer is required.")
	}
	return n
}

func (s *server) removePort(c *call) (answer, error) {
	listen, err := strconv.Atoi(c.path["listen"])
	if err != nil {
		return answer{}, &platform.NotFoundError{Kind: "Port", ID: c.path["listen"]}
	}
	if err := s.desk.RemovePort(c.ctx(), c.caller, c.app(), listen); err != nil {
		return answer{}, err
	}
	return noContent()
}
