(* /etc/libvirt/libxl-lockd.conf and an unprivileged user's ~/.config/libvirt/libxl-lockd.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_libxl_lockd =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/libxl-lockd.conf"
           . incl "/home/*/.config/libvirt/libxl-lockd.conf"
           . incl "/root/.config/libvirt/libxl-lockd.conf"

let xfm = transform lns filter
