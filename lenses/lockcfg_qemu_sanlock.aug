(* /etc/libvirt/qemu-sanlock.conf and an unprivileged user's ~/.config/libvirt/qemu-sanlock.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_qemu_sanlock =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/qemu-sanlock.conf"
           . incl "/home/*/.config/libvirt/qemu-sanlock.conf"
           . incl "/root/.config/libvirt/qemu-sanlock.conf"

let xfm = transform lns filter
