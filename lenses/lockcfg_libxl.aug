(* /etc/libvirt/libxl.conf and an unprivileged user's ~/.config/libvirt/libxl.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_libxl =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/libxl.conf"
           . incl "/home/*/.config/libvirt/libxl.conf"
           . incl "/root/.config/libvirt/libxl.conf"

let xfm = transform lns filter
