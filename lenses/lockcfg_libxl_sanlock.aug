(* /etc/libvirt/libxl-sanlock.conf and an unprivileged user's ~/.config/libvirt/libxl-sanlock.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_libxl_sanlock =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/libxl-sanlock.conf"
           . incl "/home/*/.config/libvirt/libxl-sanlock.conf"
           . incl "/root/.config/libvirt/libxl-sanlock.conf"

let xfm = transform lns filter
