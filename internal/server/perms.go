package server

import (
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// badRole is Deis' way of saying that a choice is none.
const badRole = "A role is one of viewer, deployer, operator and admin."

func (s *server) listPerms(c *call) (answer, error) {
	shared, err := s.desk.Collaborators(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	perms := api.Perms{Users: make([]string, 0, len(shared)), Roles: make(map[string]string, len(shared))}
	for _, one := range shared {
		perms.Users = append(perms.Users, one.User)
		perms.Roles[one.User] = string(one.Role)
	}
	return ok(perms)
}

// grant shares an app; without a role as Deis did.
func (s *server) grant(c *call) (answer, error) {
	f := c.body
	username, role := f.required("username"), f.role()
	if role == "" {
		role = platform.RoleOperator
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.Grant(c.ctx(), c.caller, c.app(), username, role); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated}, nil
}

// role reads the field of that name; empty when absent.
func (f *fields) role() platform.Role {
	role := platform.Role(f.optional("role"))
	if role != "" && !role.Grantable() {
		f.reject("role", badRole)
	}
	return role
}

func (s *server) revoke(c *call) (answer, error) {
	if err := s.desk.Revoke(c.ctx(), c.caller, c.app(), c.path["username"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) listAdmins(c *call) (answer, error) {
	admins, count, err := s.users.Superusers(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, admins, count, func(u platform.User) api.Admin {
		return api.Admin{Username: u.Username, IsSuperuser: u.Superuser}
	})
}

func (s *server) makeAdmin(c *call) (answer, error) {
	if !c.caller.Admin {
		return answer{}, platform.ErrForbidden
	}
	f := c.body
	username := f.required("username")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.users.SetSuperuser(c.ctx(), c.caller, username, true); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated}, nil
}

func (s *server) unmakeAdmin(c *call) (answer, error) {
	if err := s.users.SetSuperuser(c.ctx(), c.caller, c.path["username"], false); err != nil {
		return answer{}, err
	}
	return noContent()
}
